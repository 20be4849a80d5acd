"""What all figures share: colours, plain axes, and a file with the numbers next to each picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..extras import needs_extra
from ..files.records import write_rows

with needs_extra("train"):
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

__all__ = ["COLOURS", "STYLES", "epoch_axes", "percent_ticks", "plain_axes", "save_figure"]

# Okabe and Ito's colours, which colour-blind readers can tell apart; lines differ in style as well.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
STYLES = ("-", "--", "-.", ":")


def save_figure(
    figure: Figure, path: str | Path, rows: Sequence[Mapping[str, Any]] = (), maps: Mapping[str, Tensor] | None = None
) -> Path:
    """Write a picture, whose ending chooses the format, and its numbers as CSV next to it; existing files are replaced.

    The maps are (H, W) values by what is added to the name of their own CSV file, one line per row of pixels.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    if rows:
        write_rows(path.with_suffix(".csv"), rows)
    for name, values in (maps or {}).items():
        np.savetxt(path.with_name(f"{path.stem}_{name}.csv"), values.numpy(), fmt="%.5g", delimiter=",")
    return path


def plain_axes(axes: Axes, *, x: str, y: str, title: str = "") -> None:
    """Label axes, and leave of their frame only what a reader needs."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(axis="y", color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def epoch_axes(axes: Axes, title: str) -> None:
    """Label axes of a curve by epoch."""
    plain_axes(axes, x="epoch", y="", title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def percent_ticks(axis: Axis, **style: Any) -> None:
    """Label an axis of percentages in quarters; the style is that of the labels."""
    axis.set_ticks(range(0, 101, 25), [f"{percent} %" for percent in range(0, 101, 25)], **style)
