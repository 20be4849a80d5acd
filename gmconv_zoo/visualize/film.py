"""A film of a training: every layer's mask and sigma, one frame for each epoch."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..extras import needs_extra
from ..files.records import SUMMARY_NAME, read_rows, write_rows
from ..saving.named import open_model
from ..saving.targets import check_target
from .figures import COLOURS, plain_axes
from .masks import MOST_LAYERS, LayerMask, describe_layers, draw_mask, short_name

with needs_extra("train"):
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["draw_film", "masks_by_epoch"]

FORMATS = (".gif", ".webp")
_COLUMNS = 12
_FRAME_MS, _LAST_FRAME_MS = 250, 2500


def draw_film(run: str | Path, path: str | Path, *, overwrite: bool = False) -> Path:
    """Draw the masks of a training's epochs as a film, and write the sigmas next to it as CSV.

    ``run`` is the folder of a training, with its summary.csv and its network.

    Raises:
        ValueError: when the file exists or is not a .gif or .webp, or for a run without masks or with a single epoch.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"--film {path}: pass a file that ends in {' or '.join(FORMATS)}.")
    check_target(path, "--film", overwrite=overwrite)
    epochs = masks_by_epoch(run)
    if len(epochs) < 2:
        raise ValueError(f"{run} has {len(epochs)} epoch{'s' * (not epochs)}: a film needs at least 2.")
    frames = _frames(epochs)
    path.parent.mkdir(parents=True, exist_ok=True)
    durations = [_FRAME_MS] * (len(frames) - 1) + [_LAST_FRAME_MS]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations, loop=0)
    names = ("stage", "horizontal", "vertical")
    rows = [
        {"epoch": epoch, "layer": mask.name, **{name: getattr(mask, name) for name in names}}
        for epoch, masks in epochs.items()
        for mask in masks
    ]
    write_rows(path.with_suffix(".csv"), rows)
    return path


def masks_by_epoch(run: str | Path) -> dict[int, list[LayerMask]]:
    """Return the masks of a network after every epoch of its training, dynamic ones with the logged mean sigmas.

    Raises:
        ValueError: when the folder does not contain the log of a training, or the log has no sigmas.
    """
    summary = Path(run) / SUMMARY_NAME
    if not summary.is_file():
        raise ValueError(f"{run} is not the folder of a training: it does not contain {SUMMARY_NAME}.")
    layers = describe_layers(open_model(str(run)))
    if not layers:
        raise ValueError(f"{run} has no masks: a film shows the training of a network with Gaussian masks.")
    epochs = {}
    for row in read_rows(summary):
        masks = []
        for name, (size, dynamic, stage) in layers.items():
            columns = [f"sigma/{name}.{axis}" for axis in ("horizontal", "vertical")] if dynamic else [f"sigma/{name}"]
            values = [float(row.get(column) or "nan") for column in columns]
            if not all(map(math.isfinite, values)) or "epoch" not in row:
                raise ValueError(f"{summary} is not a complete log of sigmas: {columns[0]} is missing or not finite.")
            masks.append(LayerMask(name, values[0], values[-1], size, dynamic, stage))
        epochs[int(row["epoch"])] = masks
    return epochs


def _frames(epochs: dict[int, list[LayerMask]]) -> list[Image.Image]:
    """One picture for every epoch. The figure is laid out once, so that nothing moves but the masks and sigmas."""
    first, last = next(iter(epochs.values())), max(epochs)
    chosen = range(0, len(first), -(-len(first) // MOST_LAYERS))
    lines, columns = -(-len(chosen) // _COLUMNS), min(len(chosen), _COLUMNS)
    figure = Figure(figsize=(max(5.0, 0.5 + 0.85 * columns), 3.2 + 1.3 * lines), dpi=90, layout="constrained")
    grid = figure.add_gridspec(lines + 1, columns, height_ratios=[1.0] * lines + [2.0])
    places = [figure.add_subplot(grid[place // columns, place % columns]) for place in range(len(chosen))]
    for axes, layer in zip(places, chosen, strict=True):
        draw_mask(axes, first[layer].values())
        axes.set_title(short_name(first[layer].name), fontsize=7.5, pad=3)
        axes.set_xlabel(first[layer].sigma_text(), fontsize=7.5, labelpad=2)
    heading = figure.suptitle(_heading(last, last), x=0.01, ha="left", fontsize=11)
    lower = figure.add_subplot(grid[lines, :])
    horizontal, vertical = _draw_sigmas(lower, [[masks[layer] for layer in chosen] for masks in epochs.values()])
    canvas, frames = FigureCanvasAgg(figure), []
    canvas.draw()
    figure.set_layout_engine("none")
    for epoch, masks in epochs.items():
        heading.set_text(_heading(epoch, last))
        for axes, layer in zip(places, chosen, strict=True):
            axes.images[0].set_data(masks[layer].values().numpy())
            axes.set_xlabel(masks[layer].sigma_text())
        horizontal.set_ydata([masks[layer].horizontal for layer in chosen])
        vertical.set_ydata([masks[layer].vertical if masks[layer].dynamic else math.nan for layer in chosen])
        canvas.draw()
        frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))
    return frames


def _draw_sigmas(axes: Axes, epochs: Sequence[Sequence[LayerMask]]) -> tuple[Line2D, Line2D]:
    """Draw sigma by layer on axes that fit every epoch; returns the lines that change."""
    first = epochs[0]
    places = range(len(first))
    plain_axes(axes, x="layer, from input to output", y="sigma in taps")
    axes.plot(places, [mask.horizontal for mask in first], ":", color="0.5", linewidth=1, label="after the first epoch")
    (horizontal,) = axes.plot(places, [0.0] * len(first), "-o", color=COLOURS[0], markersize=4, label="sigma")
    (vertical,) = axes.plot(places, [0.0] * len(first), "^", color=COLOURS[1], markersize=6)
    if any(mask.dynamic for mask in first):
        horizontal.set_label("sigma, of a dynamic layer the horizontal one")
        vertical.set_label("vertical sigma of a dynamic layer")
    axes.set_xticks(places, [mask.name for mask in first], rotation=60, ha="right", fontsize=7)
    axes.set_xlim(-0.6, len(first) - 0.4)
    axes.set_ylim(0, 1.05 * max(max(mask.horizontal, mask.vertical) for masks in epochs for mask in masks))
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return horizontal, vertical


def _heading(epoch: int, last: int) -> str:
    return f"Masks after epoch {epoch} of {last}, from 0 (dark: faded out) to 1 (yellow: kept), and sigma in taps"
