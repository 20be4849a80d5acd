"""Figures of a network's masks: every mask with the mean of each stage (Fig. 7), sigma and kernel size by depth."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from torch import Tensor

from ..extras import needs_extra
from .figures import COLOURS, STYLES, plain_axes, save_figure
from .masks import LayerMask, draw_mask, effective_size, short_name, stage_masks

with needs_extra("train"):
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

__all__ = ["KERNEL_SHARES", "draw_kernel_sizes", "draw_masks", "draw_sigmas"]

# The shares of a mask whose square is drawn as a kernel's effective size.
KERNEL_SHARES = (0.5, 0.9, 0.99)
_COLUMNS = 10


def draw_masks(masks: Sequence[LayerMask], path: str | Path) -> Path:
    """Draw the masks of `layer_masks` and the mean of each stage on one scale from 0 to 1 (Fig. 7).

    The values are written next to the picture as CSV.
    """
    lines = _lines(masks)
    columns = max(len(line) for line in lines)
    figure = Figure(figsize=(1.6 + 1.05 * columns, 0.8 + 1.5 * len(lines)), dpi=110, layout="constrained")
    grid = figure.add_gridspec(len(lines), columns)
    for row, line in enumerate(lines):
        for column, (title, label, values) in enumerate(line):
            axes = figure.add_subplot(grid[row, column])
            draw_mask(axes, values)
            axes.set_title(title, fontsize=8, fontweight="bold" if title.startswith("mean") else "normal", pad=3)
            axes.set_xlabel(label, fontsize=8, labelpad=3)
    scale = ScalarMappable(cmap="viridis")
    scale.set_clim(0, 1)
    figure.colorbar(scale, ax=figure.axes, label="mask value", shrink=min(1.0, 2 / len(lines)), aspect=15)
    figure.suptitle(r"Masks by layer: kernel size and $\sigma$ in taps", x=0.01, ha="left", fontsize=11)
    rows = [row for mask in masks for row in _values(mask.name, mask.stage, mask.values())]
    for (stage, _), mean in stage_masks(list(masks)).items():
        rows += _values("mean", stage, mean)
    return save_figure(figure, path, rows)


def draw_sigmas(masks: Sequence[LayerMask], path: str | Path) -> Path:
    """Draw sigma by depth: a line through the static layers, and for each dynamic layer a box over the images."""
    figure, axes = _by_layer(masks, "sigma in kernel taps")
    static = [place for place, mask in enumerate(masks) if not mask.dynamic]
    if static:
        sigmas = [masks[place].horizontal for place in static]
        axes.plot(static, sigmas, color=COLOURS[0], marker="o", markersize=4, label="static layer")
    rows = []
    for place, mask in enumerate(masks):
        directions = ("horizontal", "vertical") if mask.dynamic else ("both",)
        for number, direction in enumerate(directions):
            samples = mask.samples[:, number].double()
            rows.append({"layer": mask.name, "stage": mask.stage, "direction": direction, **_summary(samples)})
            if mask.dynamic:
                _draw_box(axes, samples, place - 0.15 + 0.3 * number, COLOURS[1 + number])
    if any(mask.dynamic for mask in masks):
        images = max(len(mask.samples) for mask in masks)
        for number, word in enumerate((r"$\sigma_1$, horizontal", r"$\sigma_2$, vertical")):
            label = f"dynamic layer, {word}, {images} image{'s' if images > 1 else ''}"
            axes.plot([], [], color=COLOURS[1 + number], marker="s", linestyle="", label=label)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return save_figure(figure, path, rows)


def draw_kernel_sizes(masks: Sequence[LayerMask], path: str | Path) -> Path:
    """Draw each layer's effective kernel size: sides of the centred squares that hold 50, 90 and 99 % of its mask."""
    figure, axes = _by_layer(masks, "side of the centred square in taps")
    places = range(len(masks))
    rows: list[dict[str, Any]] = [
        {"layer": m.name, "stage": m.stage, "kernel_height": m.kernel_size[0], "kernel_width": m.kernel_size[1]}
        for m in masks
    ]
    axes.bar(places, [max(m.kernel_size) for m in masks], width=0.8, color="#e5e7eb", label="kernel")
    for share, colour, style, marker in zip(KERNEL_SHARES, COLOURS, STYLES, "os^", strict=False):
        sides = [effective_size(mask.values(), share) for mask in masks]
        axes.plot(
            places, sides, style, color=colour, marker=marker, markersize=4, label=f"{100 * share:.0f} % of the mask"
        )
        for row, side in zip(rows, sides, strict=True):
            row[f"side_{100 * share:.0f}_percent"] = side
    axes.legend(frameon=False, fontsize=8, ncols=4, loc="lower right", bbox_to_anchor=(1, 1.1))
    return save_figure(figure, path, rows)


def _lines(masks: Sequence[LayerMask]) -> list[list[tuple[str, str, Tensor]]]:
    """The masks to draw as (title, label, values), line by line: each stage begins a line with its mean."""
    means = stage_masks(list(masks))
    lines = []
    for stage, members in groupby(masks, key=lambda mask: mask.stage):
        cells = []
        layers = list(members)
        if len(layers) > 1:
            sizes = dict.fromkeys(mask.kernel_size for mask in layers)
            word = stage or ("other layers" if any(mask.stage for mask in masks) else "all layers")
            cells = [(f"mean of\n{word}", f"{h}$\\times${w}", means[stage, (h, w)]) for h, w in sizes]
        for mask in layers:
            label = f"{mask.kernel_size[0]}$\\times${mask.kernel_size[1]}\n$\\sigma$ {mask.sigma_text()}"
            cells.append((short_name(mask.name), label, mask.values()))
        lines += [cells[start : start + _COLUMNS] for start in range(0, len(cells), _COLUMNS)]
    return lines


def _values(name: str, stage: str, values: Tensor) -> list[dict[str, Any]]:
    return [
        {"layer": name, "stage": stage, "tap_row": row, "tap_column": column, "mask": value}
        for row, line in enumerate(values.tolist())
        for column, value in enumerate(line)
    ]


def _by_layer(masks: Sequence[LayerMask], y: str) -> tuple[Figure, Axes]:
    """A figure with the layers from left to right, and a line and a name where a stage begins."""
    figure = Figure(figsize=(max(6.0, 2.0 + 0.42 * len(masks)), 3.8), dpi=110, layout="constrained")
    axes = figure.subplots()
    plain_axes(axes, x="layer, from input to output", y=y)
    axes.set_xticks(range(len(masks)), [mask.name for mask in masks], rotation=60, ha="right", fontsize=7)
    axes.set_xlim(-0.6, len(masks) - 0.4)
    for place, mask in enumerate(masks):
        if place == 0 or mask.stage != masks[place - 1].stage:
            axes.axvline(place - 0.5, color="#9ca3af", linewidth=0.8, zorder=0)
            above = axes.get_xaxis_transform()
            axes.text(place - 0.45, 1.02, mask.stage, transform=above, fontsize=8, color="#4b5563")
    return figure, axes


def _summary(samples: Tensor) -> dict[str, Any]:
    names = ("minimum", "quartile_1", "median", "quartile_3", "maximum")
    values = [samples.quantile(share).item() for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    return {"images": len(samples), "mean": samples.mean().item(), **dict(zip(names, values, strict=True))}


def _draw_box(axes: Axes, samples: Tensor, place: float, colour: str) -> None:
    parts = ("boxprops", "medianprops", "whiskerprops", "capprops")
    looks: dict[str, Any] = {part: {"color": colour, "linewidth": 1.3} for part in parts}
    axes.boxplot([samples.numpy()], positions=[place], widths=0.24, whis=(0, 100), manage_ticks=False, **looks)
