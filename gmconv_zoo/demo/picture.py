"""A picture of a training: every layer's mask before and after with its sigma, and the training curves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..extras import needs_extra
from ..visualize.curves import draw_accuracy, draw_loss
from ..visualize.figures import save_figure
from ..visualize.masks import MOST_LAYERS, LayerMask, draw_mask, short_name

with needs_extra("train"):
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec
    from matplotlib.layout_engine import ConstrainedLayoutEngine

__all__ = ["draw_training"]

MASK_LEGEND = "masks by layer, from 1 (yellow: the weight is kept) to 0 (dark: it is faded out), and their sigma"


def draw_training(
    before: Sequence[LayerMask],
    after: Sequence[LayerMask],
    rows: Sequence[dict[str, Any]],
    path: Path,
    *,
    title: str,
    accuracy_before: float,
) -> Path:
    """Write a picture of a training run.

    Args:
        before: masks of the layers before training, from `layer_masks`.
        after: masks of the same layers after training.
        rows: records of the run, one per epoch.
        path: file of the picture; its ending chooses the format.
        title: line above the picture, not empty.
        accuracy_before: validation accuracy before training, in percent.
    """
    step = -(-len(before) // MOST_LAYERS)
    before, after = before[::step], after[::step]
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.06)
    figure = Figure(figsize=(12, 5), dpi=110, layout=layout, facecolor="white")
    figure.suptitle(f"{title}\n", x=0.01, ha="left", fontweight="bold", fontsize=13)
    figure.text(0.01, 0.93, MASK_LEGEND, fontsize=9, color="#4b5563", va="top")
    grid = figure.add_gridspec(2, 1)
    _draw_masks(figure, grid[0], before, after)
    curves = grid[1].subgridspec(1, 2, wspace=0.06)
    draw_loss(figure.add_subplot(curves[0]), rows)
    draw_accuracy(figure.add_subplot(curves[1]), rows, before=accuracy_before)
    return save_figure(figure, path)


def _draw_masks(figure: Figure, place: SubplotSpec, before: Sequence[LayerMask], after: Sequence[LayerMask]) -> None:
    grid = place.subgridspec(2, len(before), hspace=0.02, wspace=0.02)
    for line, (word, masks) in enumerate((("before", before), ("after", after))):
        for column, mask in enumerate(masks):
            axes = figure.add_subplot(grid[line, column])
            draw_mask(axes, mask.values())
            axes.set_xlabel(mask.sigma_text(), fontsize=7.5, labelpad=2)
            if column == 0:
                axes.set_ylabel(word, fontsize=10)
            if line == 0:
                axes.set_title(short_name(mask.name), fontsize=7.5, pad=3)
