"""The README's table of models, counted from the registered networks rather than typed."""

from pathlib import Path

import timm

from ..markers import is_current, put_between
from ..weights.specs import specs_of
from .profile import profile_registered

__all__ = ["NAME", "models_table", "table_is_current", "write_table"]

NAME = "models"
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
    """Put the table into a Markdown file.

    Args:
        path: a file with the markers of `NAME`.

    Raises:
        ValueError: when the markers are missing.
    """
    put_between(path, NAME, models_table())


def table_is_current(path: Path) -> bool:
    """Whether the file holds the table that `write_table` would write.

    Raises:
        ValueError: when the markers are missing.
    """
    return is_current(path, NAME, models_table())
