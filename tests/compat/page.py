"""The compatibility table: what a test run found, and the page that holds it."""

import importlib
import platform
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from reproduce.markdown import markers, table, with_block

from .models import MODELS

__all__ = ["PAGE", "consumers", "read_cells", "write_cells"]

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
BLOCK = "compatibility"
_PACKAGES = (
    *("torch", "torchvision", "timm", "onnx", "onnxscript", "onnxruntime", "torchao"),
    *("segmentation-models-pytorch", "transformers", "fvcore"),
)
_FILES = ("test_torch", "test_deployment", "test_consumers", "test_timm_scripts")
Cells = dict[tuple[str, str], str]


def consumers() -> list[str]:
    """The titles of all rows, in the order of the tests that make them."""
    modules = [importlib.import_module(f"{__package__}.{name}") for name in _FILES]
    return [mark.args[0] for module in modules for mark in _marks(module) if mark.name == "consumer"]


def read_cells(text: str) -> Cells:
    """The cells of a page, by consumer and model; its first row names the models."""
    header, *rows = [line.strip("| ").split(" | ") for line in _table(text).splitlines() if line.startswith("| ")]
    models = [name.strip("`") for name in header[1:]]
    return {(row[0], name): cell for row in rows for name, cell in zip(models, row[1:], strict=True)}


def write_cells(path: Path, found: Mapping[tuple[str, str], str]) -> None:
    """Put what a run found, "pass" or the reason, between a page's markers; other cells keep what the page says."""
    text = path.read_text(encoding="utf-8")
    cells = {**read_cells(text), **found}
    rows = [(title, *(cells.get((title, name), "not run") for name in MODELS)) for title in consumers()]
    content = table(("consumer", *(f"`{name}`" for name in MODELS)), rows)
    path.write_text(with_block(path, BLOCK, f"{content}\n\n{_environment()}"), encoding="utf-8")


def _table(text: str) -> str:
    begin, end = markers(BLOCK)
    match = re.search(f"{begin}(.*){end}", text, flags=re.DOTALL)
    if match is None:
        raise ValueError(f"the page has no lines {begin} and {end} for the table.")
    return match[1]


def _marks(module: object) -> Iterator:
    for value in vars(module).values():
        yield from getattr(value, "pytestmark", []) if callable(value) else []


def _environment() -> str:
    versions = []
    for package in _PACKAGES:
        try:
            versions.append(f"{package} {version(package).partition('+')[0]}")
        except PackageNotFoundError:
            continue
    return f"Last run on a CPU with Python {platform.python_version()}, {', '.join(versions)}."
