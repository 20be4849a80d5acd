"""Curves of a training by epoch: loss, and accuracy or average precision; rows as in summary.csv."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..extras import needs_extra
from .figures import COLOURS, epoch_axes, percent_ticks, save_figure

with needs_extra("train"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ACCURACY_COLOUR", "draw_accuracy", "draw_ap_curves", "draw_curves", "draw_loss"]

LOSS_COLOUR, ACCURACY_COLOUR = "#6b7280", "#0f766e"
_LINE: dict[str, Any] = {"marker": "o", "markersize": 3.5, "linewidth": 1.8, "clip_on": False}


def draw_curves(rows: Sequence[dict[str, Any]], path: str | Path) -> None:
    """Write training loss and validation accuracy by epoch as a picture."""
    figure, right = _beside_loss(rows)
    draw_accuracy(right, rows)
    save_figure(figure, path)


def draw_ap_curves(rows: Sequence[dict[str, Any]], path: str | Path) -> None:
    """Write training loss and average precision by epoch as a picture."""
    figure, right = _beside_loss(rows)
    evaluated = [row for row in rows if row.get("val_AP") is not None]
    for metric, label, colour, style in (
        ("val_AP", "AP (mean over IoU 0.5 to 0.95)", COLOURS[0], "-"),
        ("val_AP50", "AP at IoU 0.5", COLOURS[1], "--"),
    ):
        values = [100 * row[metric] for row in evaluated]
        right.plot([row["epoch"] for row in evaluated], values, color=colour, linestyle=style, label=label, **_LINE)
    best = max(row["val_AP"] for row in evaluated)
    _percent_axes(right, f"average precision on the validation set, best AP {100 * best:.1f} %")
    right.legend(frameon=False, fontsize=8)
    save_figure(figure, path)


def draw_loss(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    """Draw the training loss by epoch; each row has "epoch" and "train_loss"."""
    axes.plot([row["epoch"] for row in rows], [row["train_loss"] for row in rows], color=LOSS_COLOUR, **_LINE)
    epoch_axes(axes, "training loss")
    axes.set_ylim(bottom=0)


def draw_accuracy(axes: Axes, rows: Sequence[dict[str, Any]], *, before: float | None = None) -> None:
    """Draw the top-1 accuracy on the validation set by epoch, in percent.

    Each row has "epoch", and those that were evaluated "val_top1_percent"; the accuracy before training is at epoch 0.
    """
    evaluated = [row for row in rows if "val_top1_percent" in row]
    epochs = [row["epoch"] for row in evaluated]
    accuracies = [row["val_top1_percent"] for row in evaluated]
    if before is not None:
        epochs, accuracies = [0, *epochs], [before, *accuracies]
    axes.plot(epochs, accuracies, color=ACCURACY_COLOUR, **_LINE)
    _percent_axes(axes, f"validation accuracy, at the end {accuracies[-1]:.1f} %")


def _beside_loss(rows: Sequence[dict[str, Any]]) -> tuple[Figure, Axes]:
    """A figure with the training loss, and the axes next to it."""
    figure = Figure(figsize=(10, 3.4), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_loss(left, rows)
    return figure, right


def _percent_axes(axes: Axes, title: str) -> None:
    epoch_axes(axes, title)
    axes.set_ylim(0, 100)
    percent_ticks(axes.yaxis)
