"""The compatibility table: what a test run found, and the page that holds it."""

import importlib
import platform
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .models import MODELS

__all__ = ["BEGIN", "END", "PAGE", "consumers", "read_cells", "write_cells"]

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
BEGIN, END = "<!-- compatibility:begin -->", "<!-- compatibility:end -->"
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
    """The cells of a page, by consumer and model."""
    rows = [line.strip("| ").split(" | ") for line in _table(text).splitlines() if line.startswith("| ")]
    return {(row[0], name): cell for row in rows[1:] for name, cell in zip(MODELS, row[1:], strict=True)}


def write_cells(path: Path, found: Mapping[tuple[str, str], str]) -> None:
    """Put what a run found between a page's markers; cells that it did not run keep what the page says.

    Args:
        path: a Markdown file with the lines `BEGIN` and `END`.
        found: "pass" or the reason, by consumer and model.
    """
    text = path.read_text(encoding="utf-8")
    cells = {**read_cells(text), **found}
    head = [f"| consumer | {' | '.join(f'`{name}`' for name in MODELS)} |", f"|---|{'---|' * len(MODELS)}"]
    rows = [
        f"| {title} | {' | '.join(cells.get((title, name), 'not run') for name in MODELS)} |" for title in consumers()
    ]
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    body = "\n".join([*head, *rows, "", _environment()])
    path.write_text(f"{before}{BEGIN}\n{body}\n{END}{after}", encoding="utf-8")


def _table(text: str) -> str:
    match = re.search(f"{BEGIN}(.*){END}", text, flags=re.DOTALL)
    if match is None:
        raise ValueError(f"the page has no lines {BEGIN} and {END} for the table.")
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
