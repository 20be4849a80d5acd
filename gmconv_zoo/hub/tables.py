"""The README's table of models, counted from the registered networks rather than typed."""

import timm

from ..markdown import table
from ..weights.specs import specs_of
from .profile import profile_registered

__all__ = ["models_table"]

_MASKS = {"gmconv": "dynamic stem, static elsewhere", "sgmconv": "static", "stdconv": "none"}
_COLUMNS = ("model", "masks", "parameters", "GMACs", "image size", "pretrained tags")


def models_table() -> str:
    """All registered models as a Markdown table, the default tag first in its last column."""
    rows = []
    names = timm.list_models([f"{family}_*" for family in _MASKS])
    for name in sorted(names, key=lambda name: (name.partition("_")[2], name)):
        counts = profile_registered(name)
        rows.append(
            (
                f"`{name}`",
                _MASKS[name.partition("_")[0]],
                f"{counts.parameters:,}",
                f"{counts.macs / 1e9:.3g}",
                f"{counts.input_size[1]} x {counts.input_size[2]}",
                ", ".join(f"`{spec.tag}`" for spec in specs_of(name)) or "-",
            )
        )
    return table(_COLUMNS, rows, right=(2, 3, 4))
