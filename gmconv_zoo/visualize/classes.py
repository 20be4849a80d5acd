"""Pictures of a classifier's run: curves by epoch, confusion matrix, accuracy by class."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..engine.extras import needs_extra
from .curves import draw_accuracy, draw_loss

with needs_extra("train"):
    from matplotlib.figure import Figure

__all__ = ["draw_class_table", "draw_confusion", "draw_curves"]

# More classes than this are drawn without numbers in the cells.
_MOST_NUMBERS = 20


def draw_curves(rows: Sequence[dict[str, Any]], path: str | Path) -> None:
    """Write training loss and held-out accuracy by epoch as a picture; rows as in summary.csv."""
    figure = Figure(figsize=(10, 3.4), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_loss(left, rows)
    draw_accuracy(right, rows)
    figure.savefig(path)


def draw_confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str], path: str | Path) -> None:
    """Write a confusion matrix as a picture, its colours the shares of each true class.

    Args:
        matrix: a row per true class, a column per predicted one.
        classes: names.
        path: of the picture.
    """
    side = min(14.0, 2.5 + 0.45 * len(classes))
    figure = Figure(figsize=(side, side), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.imshow([[n / max(1, sum(row)) for n in row] for row in matrix], cmap="Blues", vmin=0, vmax=1)
    places, size = range(len(classes)), 8 if len(classes) <= _MOST_NUMBERS else 5
    axes.set_xticks(places, classes, rotation=90, fontsize=size)
    axes.set_yticks(places, classes, fontsize=size)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(classes) <= _MOST_NUMBERS:
        for y, row in enumerate(matrix):
            for x, count in enumerate(row):
                shade = "white" if count > sum(row) / 2 else "black"
                axes.text(x, y, str(count), ha="center", va="center", fontsize=8, color=shade)
    figure.savefig(path)


def draw_class_table(rows: Sequence[dict[str, Any]], path: str | Path) -> None:
    """Write each class's share of held-out images that are found as bars; rows with "class" and "recall_percent"."""
    figure = Figure(figsize=(7, min(30.0, 1.2 + 0.28 * len(rows))), dpi=110, layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(range(len(rows)), [row["recall_percent"] or 0 for row in rows], color="#0f766e")
    axes.bar_label(bars, [f"{row['correct']} of {row['val_images']}" for row in rows], fontsize=7, padding=2)
    axes.set_yticks(range(len(rows)), [row["class"] for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 118)
    axes.set_xlabel("held-out images of the class that are found, in percent")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
