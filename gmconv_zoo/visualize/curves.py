"""Curves of a training: loss and accuracy by epoch."""

from collections.abc import Sequence
from typing import Any

from ..extras import needs_extra

with needs_extra("train"):
    from matplotlib.axes import Axes
    from matplotlib.ticker import MaxNLocator

__all__ = ["ACCURACY_COLOUR", "draw_accuracy", "draw_loss"]

LOSS_COLOUR, ACCURACY_COLOUR = "#6b7280", "#0f766e"


def draw_loss(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    """Training loss by epoch.

    Args:
        axes: matplotlib axes to draw in.
        rows: of a run, each with "epoch" and "train_loss".
    """
    _draw(axes, [row["epoch"] for row in rows], [row["train_loss"] for row in rows], LOSS_COLOUR)
    axes.set_title("training loss", loc="left")
    axes.set_ylim(bottom=0)


def draw_accuracy(axes: Axes, rows: Sequence[dict[str, Any]], *, before: float | None = None) -> None:
    """Top-1 accuracy on the validation set by epoch, in percent.

    Args:
        axes: matplotlib axes to draw in.
        rows: of a run, each with "epoch", and those that were evaluated with "val_top1_percent".
        before: accuracy before training in percent, drawn at epoch 0.
    """
    evaluated = [row for row in rows if "val_top1_percent" in row]
    epochs = [row["epoch"] for row in evaluated]
    accuracies = [row["val_top1_percent"] for row in evaluated]
    if before is not None:
        epochs, accuracies = [0, *epochs], [before, *accuracies]
    _draw(axes, epochs, accuracies, ACCURACY_COLOUR)
    axes.set_title(f"validation accuracy, at the end {accuracies[-1]:.1f} %", loc="left")
    axes.set_ylim(0, 100)
    axes.set_yticks(range(0, 101, 25), [f"{percent} %" for percent in range(0, 101, 25)])


def _draw(axes: Axes, epochs: Sequence[float], values: Sequence[float], colour: str) -> None:
    axes.plot(epochs, values, color=colour, marker="o", markersize=3.5, linewidth=1.8, clip_on=False)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
