"""The README's table of models, counted from the registered networks rather than typed."""

from pathlib import Path

import timm

from ..weights.specs import specs_of
from .profile import profile_registered

__all__ = ["BEGIN", "END", "models_table", "table_is_current", "write_table"]

BEGIN, END = "<!-- models:begin -->", "<!-- models:end -->"
_MASKS = {"gmconv": "dynamic stem, static elsewhere", "sgmconv": "static", "stdconv": "none"}


def models_table() -> str:
    """All registered models as a Markdown table, the default tag first in its last column."""
    rows = [
        "| model | masks | parameters | GMACs | image size | pretrained tags |",
        "|---|---|---:|---:|---:|---|",
    ]
    names = timm.list_models([f"{family}_*" for family in _MASKS])
    for name in sorted(names, key=lambda name: (name.partition("_")[2], name)):
        counts = profile_registered(name)
        tags = ", ".join(f"`{spec.tag}`" for spec in specs_of(name)) or "-"
        cells = (
            f"`{name}`",
            _MASKS[name.partition("_")[0]],
            f"{counts.parameters:,}",
            f"{counts.macs / 1e9:.3g}",
            f"{counts.input_size[1]} x {counts.input_size[2]}",
            tags,
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def write_table(path: Path) -> None:
    """Put the table between a file's markers.

    Args:
        path: a Markdown file with the lines `BEGIN` and `END`.

    Raises:
        ValueError: when the markers are missing.
    """
    path.write_text(_with_table(path), encoding="utf-8")


def table_is_current(path: Path) -> bool:
    """Whether the file holds the table that `write_table` would write.

    Raises:
        ValueError: when the markers are missing.
    """
    return path.read_text(encoding="utf-8") == _with_table(path)


def _with_table(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path}: put the lines {BEGIN} and {END} where the table of models belongs.")
    return f"{before}{BEGIN}\n{models_table()}\n{END}{after}"
