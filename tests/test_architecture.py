"""Imports point downwards, names are where timm expects them, and the wheel holds what it needs."""

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections import defaultdict
from pathlib import Path

import pytest
import timm

from gmconv_zoo._version import REPOSITORY

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gmconv_zoo"
# The most lines of Python in a folder of the package, and the most files in classify
MOST_LINES, MOST_CLASSIFY_FILES = 2000, 10
# What each part may import, itself aside. Whoever adds an arrow adds it here.
_ROWS = {
    "_version": "",
    "device": "",
    "wording": "",
    "extras": "",
    "files": "_version",
    "layers": "",
    "conversion": "layers",
    "sigmas": "layers",
    "weights": "wording",
    "models": "conversion sigmas weights",
    "saving": "wording files layers conversion weights models images",
    "engine": "extras files conversion sigmas saving",
    "images": "wording",
    "streams": "wording engine images",
    "data": "wording extras saving engine images streams",
    "coco": "wording files engine images data",
    "visualize": "wording extras files layers conversion sigmas saving images coco",
    "classify": "device wording extras files layers sigmas models saving engine images streams data visualize",
    "validation": "device extras files conversion weights saving engine images data classify",
    "detection": "device wording extras files layers conversion weights models saving engine images coco visualize",
    "reports": "device _version wording files layers conversion weights models saving "
    "engine images data coco visualize classify validation detection",
    "demo": "extras files conversion models saving engine data visualize classify",
    "export": "_version extras layers conversion saving images",
    "hub": "_version files images layers conversion sigmas weights models saving",
    "cli": "device _version wording files saving engine images data visualize "
    "classify validation detection reports demo export hub",
    "__main__": "cli",
}
MAY_IMPORT = {part: set(names.split()) for part, names in _ROWS.items()}


def imported_parts(path: Path) -> set[str]:
    """The parts of the package that a file imports, as top-level names; "" is the package root itself."""
    here = path.relative_to(ROOT).with_suffix("").parts
    package = here[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            names = node.module.split(".") if node.module else []
            targets = [(*base, *names)] if names else [(*base, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            targets = [tuple(alias.name.split(".")) for alias in node.names]
        else:
            continue
        found |= {(target[1] if len(target) > 1 else "") for target in targets if target[:1] == ("gmconv_zoo",)}
    return found


def files() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def test_the_table_has_exactly_the_imports_that_exist():
    found: dict[str, set[str]] = defaultdict(set)
    for path in files():
        part = path.relative_to(PACKAGE).with_suffix("").parts[0]
        found[part] |= imported_parts(path) - {part}
        assert not re.search(r"^\s*(from|import) reproduce\b", path.read_text(), re.M), path
    assert found == MAY_IMPORT


def test_imports_point_downwards():
    order: list[str] = []
    while len(order) < len(MAY_IMPORT):
        ready = [p for p, needs in MAY_IMPORT.items() if p not in order and needs <= set(order)]
        assert ready, f"cycle among {set(MAY_IMPORT) - set(order)}"
        order += ready


@pytest.mark.parametrize("room", sorted({path.parent for path in files()} - {PACKAGE}), ids=lambda room: room.name)
def test_rooms_stay_small(room):
    found = list(room.rglob("*.py"))
    assert sum(len(path.read_text().splitlines()) for path in found) <= MOST_LINES
    assert room.name != "classify" or len(found) <= MOST_CLASSIFY_FILES


def test_specs_need_the_standard_library_only():
    tree = ast.parse((PACKAGE / "weights" / "specs.py").read_text())
    names = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_private_names_of_other_libraries_are_those_of_the_table():
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## Private names")[2]
    listed = set()
    for name, places in re.findall(r"^\| `([\w.]+)` \| (`[^|]+`) \|", table, re.M):
        for place in re.findall(r"`([^`]+)`", places):
            assert name.rpartition(".")[2] in (PACKAGE / place).read_text(), (name, place)
            listed.add(PACKAGE / place)
    private = re.compile(r"\b(accelerate|datasets|huggingface_hub|nn|timm|torch|torchvision)(\.\w+)*\._[a-zA-Z]")
    assert {path for path in files() if private.search(path.read_text())} == listed


def test_files_of_models_cannot_land_in_timms_listings():
    names = {path.stem for path in (PACKAGE / "models").glob("*.py")}
    assert all(name.startswith(("gmconv_", "_")) for name in names)
    assert not set(timm.list_models(module=["resnet", "efficientnet", "vgg"])) & set(
        timm.list_models(["gmconv_*", "sgmconv_*", "stdconv_*"])
    )


def test_the_wheel_works_outside_the_checkout(tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    sources = [PACKAGE, *(ROOT / name for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"))]
    subprocess.run(["cp", "-r", *sources, tmp_path], check=True)
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path / "wheels", tmp_path]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next((tmp_path / "wheels").glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(next(name for name in archive.namelist() if name.endswith("METADATA"))).decode()
    links = re.findall(r"\]\(([^)\s]+)\)", metadata)  # the page on PyPI, which knows no files of the repository
    assert len(links) > 20
    assert all(link.startswith(("https://", "#")) for link in links)
    assert f"]({REPOSITORY}/raw/main/docs/images/masks.png)" in metadata
    target = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", target, wheel], check=True)
    code = (
        "import timm, gmconv_zoo; from importlib.metadata import version;"
        "from gmconv_zoo.hub.cards import card_of; from gmconv_zoo.weights.specs import SPECS;"
        "assert version('gmconv_zoo') == gmconv_zoo.__version__;"
        "timm.create_model('gmconv_cifar_resnet20');"
        "from gmconv_zoo.reports.page import write_page; write_page('page.html', 't', 's', []);"
        "print(gmconv_zoo.__file__, len(card_of(next(iter(SPECS.values())))))"
    )
    env = {"PYTHONPATH": str(target), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "wheels", env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(str(target))


def test_the_sdist_holds_every_file_so_that_its_tests_run(tmp_path):
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode or not listed.stdout:  # an sdist, perhaps unpacked within a checkout
        pytest.skip("this is no checkout")
    tracked = listed.stdout.splitlines()
    for name in tracked:
        if (ROOT / name).is_file():
            (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / "copy" / name)
    build = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, tmp_path], cwd=tmp_path / "copy", capture_output=True, check=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {name for name in tracked if (ROOT / name).is_file()} <= held


def test_the_package_says_who_made_it_and_where_it_is():
    text = (ROOT / "pyproject.toml").read_text()
    assert f'Repository = "{REPOSITORY}"' in text
    assert "authors = [" in text
