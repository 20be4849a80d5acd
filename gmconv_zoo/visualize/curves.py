"""Curves of a training: loss and accuracy by epoch."""

from collections.abc import Sequence
from typing import Any

from ..extras import needs_extra
from .figures import epoch_axes, percent_ticks

with needs_extra("train"):
    from matplotlib.axes import Axes

__all__ = ["ACCURACY_COLOUR", "draw_accuracy", "draw_loss"]

LOSS_COLOUR, ACCURACY_COLOUR = "#6b7280", "#0f766e"
_LINE: dict[str, Any] = {"marker": "o", "markersize": 3.5, "linewidth": 1.8, "clip_on": False}


def draw_loss(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    """Draw the training loss by epoch; each row has "epoch" and "train_loss"."""
    axes.plot([row["epoch"] for row in rows], [row["train_loss"] for row in rows], color=LOSS_COLOUR, **_LINE)
    epoch_axes(axes, "training loss")
    axes.set_ylim(bottom=0)


def draw_accuracy(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    """Draw the top-1 accuracy on the validation set by epoch, in percent.

    Each row has "epoch", and those that were evaluated "val_top1_percent".
    """
    evaluated = [row for row in rows if "val_top1_percent" in row]
    epochs = [row["epoch"] for row in evaluated]
    accuracies = [row["val_top1_percent"] for row in evaluated]
    axes.plot(epochs, accuracies, color=ACCURACY_COLOUR, **_LINE)
    epoch_axes(axes, f"validation accuracy, at the end {accuracies[-1]:.1f} %")
    axes.set_ylim(0, 100)
    percent_ticks(axes.yaxis)
