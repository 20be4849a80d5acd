"""Pictures of a classifier's answers: confusion matrix, and recall by class."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..extras import needs_extra
from .class_names import ClassLabels
from .curves import ACCURACY_COLOUR
from .figures import percent_ticks

with needs_extra("train"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_class_table", "draw_confusion"]

# More classes than these are drawn without counts in the cells, and without names in a matrix or a table.
_MOST_NUMBERS, _MOST_NAMES, _MOST_ROWS = 20, 120, 1000
# Inches: a cell with a number in it, the side of a picture without names
_CELL, _SIDE = 0.45, 24.0


def draw_confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str], path: str | Path) -> None:
    """Write a confusion matrix as a picture, its colours the shares of each true class.

    It has a row per true class and a column per predicted one.
    """
    count, labels, numbered = len(classes), ClassLabels(classes), len(classes) <= _MOST_NUMBERS
    cell = max(_CELL if numbered else 0.0, labels.inches)
    side = max(3.0, count * cell) if count <= _MOST_NAMES else _SIDE
    figure, axes = _axes(side, side)
    counts = np.array(matrix)
    shares = 100 * counts / counts.sum(1, keepdims=True).clip(1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    if count <= _MOST_NAMES:
        axes.set_xticks(range(count), labels.texts, rotation=90, **labels.style)
        axes.set_yticks(range(count), labels.texts, **labels.style)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(f"Confusion matrix\n{counts.trace()} of {counts.sum()} validation images are correct", loc="left")
    bar = figure.add_axes((1 + 0.2 / side, 0, 0.2 / side, 1))
    figure.colorbar(image, cax=bar, label="share of the true class")
    percent_ticks(bar.yaxis, fontsize=8)
    if numbered:
        for (y, x), number in np.ndenumerate(counts):
            shade = "white" if shares[y, x] > 50 else "black"
            axes.text(x, y, str(number), ha="center", va="center", fontsize=8, color=shade)
    figure.savefig(path, bbox_inches="tight", pad_inches=0.15)


def draw_class_table(rows: Sequence[dict[str, Any]], path: str | Path) -> None:
    """Write the recall of each class on the validation set as bars.

    Each row has "class", "recall_percent" (None for a class without images), "correct" and "val_images".
    """
    labels, places = ClassLabels([row["class"] for row in rows]), range(len(rows))
    named = len(rows) <= _MOST_ROWS
    figure, axes = _axes(6.0, len(rows) * max(0.28, labels.inches) if named else _SIDE)
    bars = axes.barh(places, [row["recall_percent"] or 0 for row in rows], color=ACCURACY_COLOUR)
    if named:
        axes.bar_label(bars, [f"{row['correct']} of {row['val_images']}" for row in rows], fontsize=8, padding=3)
        axes.set_yticks(places, labels.texts, **labels.style)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    percent_ticks(axes.xaxis)
    axes.set_xlabel("validation images of the class that are classified correctly")
    axes.set_title("Recall by class", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, bbox_inches="tight", pad_inches=0.15)


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Axes of a size in inches, whatever the room that the labels around them take: the saved picture grows."""
    figure = Figure(figsize=(width, height), dpi=110)
    return figure, figure.add_axes((0, 0, 1, 1))
