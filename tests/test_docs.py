"""The pages of docs/ are found, link to what exists, and begin with a command; their snippets run."""

import argparse
import importlib
import inspect
import re
import runpy
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

import gmconv_zoo
from gmconv_zoo import detection
from gmconv_zoo._version import REPOSITORY
from gmconv_zoo.visualize import draw_model
from tests.images.image_folders import make_folder

ROOT = Path(__file__).parents[1]
DOCS, README = ROOT / "docs", ROOT / "README.md"
PAGES = sorted(DOCS.glob("*.md"))
NOTEBOOKS = sorted(DOCS.rglob("*.ipynb"))
TEXTS = {path: path.read_text(encoding="utf-8") for path in (*PAGES, README, ROOT / "CONTRIBUTING.md")}
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
# their snippets run in tests of their own: consumers.md with other people's software, detect.md with smaller images
ELSEWHERE = ("consumers.md", "detect.md")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.+?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str, program: str) -> list[str]:
    """The command lines of a page that call a program, continued lines joined; scripts/NAME.py is gmconv NAME."""
    lines = "\n".join(blocks(text, "bash")).replace("\\\n", "").splitlines()
    called = [
        re.sub(r"^.*\bscripts/(\w+)\.py", lambda name: f"gmconv {name[1].replace('_', '-')}", line) for line in lines
    ]
    return list(dict.fromkeys(line for line in called if re.match(rf"{program}\b", line)))


def listed(entries: list) -> list[str]:
    """The files of a part of the site's navigation."""
    values = [value for entry in entries for value in entry.values()]
    return [name for value in values for name in ([value] if isinstance(value, str) else listed(value))]


def anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.+?^```", "", text, flags=re.M | re.S), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_is_in_the_navigation_once_and_the_site_names_the_repository():
    files = [path.relative_to(DOCS).as_posix() for path in (*PAGES, *NOTEBOOKS)]
    assert sorted(listed(SITE["nav"])) == sorted(files)
    assert SITE["repo_url"] == REPOSITORY


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_begins_with_a_command(path):
    assert re.match(r"# .+\n\n```(bash|python)\n", TEXTS[path])


@pytest.mark.parametrize("path", [*TEXTS, *NOTEBOOKS], ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        local = link.removeprefix(f"{REPOSITORY}/blob/main/")
        if re.match(r"\w+://", local):
            continue
        name, _, anchor = local.partition("#")
        target = ((path.parent if local == link else ROOT) / name).resolve() if name else path
        assert target.exists(), link
        if DOCS in path.parents and local == link:
            assert DOCS in target.parents, f"{link}: the site has docs/ only; name other files by {REPOSITORY}"
            assert path.suffix == ".md", (
                f"{link}: the site does not rewrite links of notebooks; begin with {REPOSITORY}"
            )
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(code, id=f"{path.name}-{number}")
        for path in (*PAGES, README)
        if path.name not in ELSEWHERE
        for number, code in enumerate(blocks(TEXTS[path], "python"))
    ],
)
def test_snippet_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if code in blocks(TEXTS[README], "python"):  # weights are pulled from a loopback server in tests/weights
        code = code.replace("pretrained=True", "pretrained=False").replace("trust_repo=True", "source='local'")
        code = code.replace('"OWNER/gmconv_zoo"', repr(str(ROOT)))
    exec(compile(code, "page", "exec"), {"__name__": "page"})


def test_every_snippet_of_the_readme_with_a_model_imports_the_package():
    for code in blocks(TEXTS[README], "python"):
        assert "import gmconv_zoo" in code or "torch.hub.load" in code


@pytest.mark.parametrize("line", dict.fromkeys(line for text in TEXTS.values() for line in commands(text, "gmconv")))
def test_a_command_has_the_options_that_are_named(line):
    _, command, *arguments = shlex.split(line, comments=True)
    parser = argparse.ArgumentParser()
    importlib.import_module(f"gmconv_zoo.cli.{command.replace('-', '_')}").add_options(parser)
    assert parser.parse_args(arguments)


@pytest.mark.parametrize(
    "line", dict.fromkeys(line for text in TEXTS.values() for line in commands(text, "python -m reproduce"))
)
def test_a_module_has_the_options_that_are_named(line):
    _, _, name, *arguments = shlex.split(line, comments=True)
    names = runpy.run_module(name, run_name="page")
    parser = argparse.ArgumentParser()
    (names.get("add_options") or names["_add_options"])(parser)
    assert arguments == ["--help"] or parser.parse_args(arguments)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A folder with the names that the pages use."""
    root = tmp_path_factory.mktemp("reader")
    for split in ("train", "val"):
        make_folder(root / "photos" / split, 8, classes=("tulip", "rose"), name="{:03}.jpg")
    shutil.copy(root / "photos" / "val" / "rose" / "001.jpg", root / "photo.jpg")
    return root


QUICKSTART = commands(TEXTS[README].partition("## Quickstart")[2], "gmconv")[:4]
FIRST = ("index.md", "finetune.md", "validate.md", "publish.md", "deploy.md", "findings.md", "look-inside.md")


@pytest.mark.parametrize("lines", [QUICKSTART, [commands(TEXTS[DOCS / name], "gmconv")[0] for name in FIRST]])
def test_commands_work_offline_one_after_the_other(lines, photos, tmp_path, monkeypatch, gmconv):
    for path in photos.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    for line in lines:
        short = ["--epochs", "1"] if line.startswith("gmconv finetune") else []
        assert gmconv(*shlex.split(line, comments=True)[1:], *short)[0] == 0, line


def test_every_figure_of_a_network_is_listed():
    listed_figures = re.findall(r"^\| `(\w+)\.png`", TEXTS[DOCS / "look-inside.md"], re.MULTILINE)
    assert listed_figures == [*draw_model.MASK_FIGURES, "receptive_field"]


def test_the_page_of_the_api_has_every_public_name():
    found = dict(re.findall(r"^::: (\S+)\n    options: \{heading: (\S+),", TEXTS[DOCS / "api.md"], re.MULTILINE))
    for path, name in ((path, name) for path, name in found.items() if path != name):
        module, _, attribute = path.rpartition(".")
        owner, _, public = name.rpartition(".")
        assert getattr(importlib.import_module(module), attribute) is getattr(importlib.import_module(owner), public)
    functions = [name for name, (_, function) in gmconv_zoo._LAZY.items() if function]
    public = {f"gmconv_zoo.{name}" for name in (*gmconv_zoo.__all__, *functions)} - {"gmconv_zoo.__version__"}
    for path in found:  # each is described under its own name, or the site does not find it
        module, _, attribute = path.rpartition(".")
        try:
            function = getattr(importlib.import_module(module), attribute)
        except ImportError:  # of an extra that is not installed
            continue
        arguments = re.search(r"^Args:\n(.+?)(\n\n|\Z)", inspect.getdoc(function), re.MULTILINE | re.DOTALL)
        described = re.findall(r"^    (\S.*?):", arguments[1], re.MULTILINE) if arguments else []
        assert {name.lstrip("*") for name in described} <= set(inspect.signature(function).parameters), path
    assert public | {f"gmconv_zoo.detection.{name}" for name in detection.__all__} <= set(found.values())
