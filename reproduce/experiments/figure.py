"""Pictures of the recorded runs: the gain of masks by kernel size and by initial sigma, and final sigmas by depth."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from statistics import mean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gmconv_zoo.visualize.figures import COLOURS, STYLES, plain_axes, save_figure

from .arms import EXPERIMENTS, KERNEL_SIZES
from .records import RunRecord
from .sigmas import SHIPPED, shipped_decay, shipped_sigmas, undecayed_runs
from .tables import NETWORKS, Difference, differences, gains_by_images

__all__ = ["draw_gains", "draw_initial_sigmas", "draw_sigma_depths"]

# Colour and marker of each arm
_STYLES = {
    "S-GMConv from 5": (COLOURS[0], "o"),
    "S-GMConv from half the kernel": (COLOURS[5], "s"),
    "S-GMConv from a third of the kernel": (COLOURS[2], "^"),
    "GMConv from half the kernel": (COLOURS[3], "D"),
}


def draw_gains(records: Sequence[RunRecord], path: str | Path) -> Path:
    """Draw the difference of every masked arm to the standard network by kernel size.

    There is a row for each network and a panel for each number of training images; bars are 95 % intervals over pairs
    of runs of the same seed, and points of fewer than three pairs are hollow.
    """
    found = {network: gains_by_images(records, kernels) for kernels, network in NETWORKS.items()}
    rows = {network: panels for network, panels in found.items() if panels}
    columns = sorted({images for panels in rows.values() for images in panels}, key=lambda images: images or math.inf)
    figure = Figure(figsize=(1 + 4 * len(columns), 1 + 3.4 * len(rows)), dpi=120, layout="constrained")
    grid = figure.subplots(len(rows), len(columns), squeeze=False, sharey=True)
    for line, (network, panels) in zip(grid, rows.items(), strict=True):
        for axes, images in zip(line, columns, strict=True):
            if images not in panels:
                axes.axis("off")
                continue
            _draw_panel(axes, panels[images])
            axes.set_title(f"{network}, {f'{images:,}' if images else 'all'} images", fontsize=10)
        line[0].set_ylabel("points above the standard network")
    figure.legend(*grid[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
    return save_figure(figure, path)


def _draw_panel(axes: Axes, by_size: dict[int, dict[str, Difference]]) -> None:
    _draw_zero(axes, [f"{size}x{size}" for size in KERNEL_SIZES])
    for offset, (label, (colour, marker)) in enumerate(_STYLES.items()):
        found = {KERNEL_SIZES.index(size): gains[label] for size, gains in by_size.items() if label in gains}
        _draw_points(axes, found, 0.12 * (offset - 1.5), color=colour, marker=marker, label=label)
    axes.set_xlabel("kernels")


def draw_initial_sigmas(records: Sequence[RunRecord], path: str | Path) -> Path:
    """Draw the difference of S-GMConv to the standard network against the sigma it starts from (the paper's Fig. 6).

    There is a colour for every setting; bars are 95 % intervals over at least three paired seeds.
    """
    labels = [arm.label for arm in EXPERIMENTS["fig6"].arms]
    figure = Figure(figsize=(6, 4.2), dpi=120, layout="constrained")
    axes = figure.subplots()
    _draw_zero(axes, labels)
    for number, (setting, by_label) in enumerate(differences(records, EXPERIMENTS["fig6"]).items()):
        found = {labels.index(label): difference for label, difference in by_label.items()}
        look = {"color": COLOURS[number], "marker": "os^D"[number]}
        _draw_points(axes, found, 0.1 * number, label="\n".join(textwrap.wrap(str(setting), 70)), **look)
    axes.set_ylabel("points of top-1 above no mask")
    figure.legend(loc="outside lower center", fontsize=8)
    return save_figure(figure, path)


def _draw_zero(axes: Axes, ticks: Sequence[str]) -> None:
    """Prepare axes for differences: a line at zero, and names along the x-axis."""
    axes.axhline(0, color="0.4", linewidth=1)
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_xlim(-0.5, len(ticks) - 0.5)
    axes.grid(axis="y", color="0.9")


def _draw_points(axes: Axes, found: Mapping[int, Difference], offset: float, **look: Any) -> None:
    """Draw differences by the number of their tick, each with its interval; those without one are hollow."""
    values, margins = [one.value for one in found.values()], [one.margin or 0 for one in found.values()]
    axes.errorbar([tick + offset for tick in found], values, margins, linestyle="none", capsize=3, **look)
    hollow = {**look, "label": None, "markerfacecolor": "white", "zorder": 3}
    for tick, one in found.items():
        if one.margin is None:
            axes.plot(tick + offset, one.value, **hollow)


def draw_sigma_depths(records: Sequence[RunRecord], path: str | Path) -> Path:
    """Draw final sigmas by depth, divided by what the start and weight decay alone give, with the numbers as CSV.

    There is a row for every setting of the undecayed runs, with a panel for every kernel size that shows the mean over
    runs and their range, and a panel of the packaged weights, whose sigmas were decayed.
    """
    groups = undecayed_runs(records)
    settings = list(dict.fromkeys(group.setting for group in groups))
    sizes = sorted({group.kernel_size for group in groups})
    figure = Figure(figsize=(2 + 3.4 * len(sizes), 3.7 * (len(settings) + 1)), dpi=110, layout="constrained")
    grid = figure.add_gridspec(len(settings) + 1, len(sizes))
    rows, shipped = [], figure.add_subplot(grid[-1, :])
    for (setting, size), panel in groupby(groups, key=lambda group: (group.setting, group.kernel_size)):
        members = list(panel)
        axes = figure.add_subplot(grid[settings.index(setting), sizes.index(size)], sharey=shipped)
        layers = max((group.layers for group in members), key=len)
        title = f"{size}x{size} kernels, sigmas not decayed, {setting}"
        for number, group in enumerate(members):
            label = f"{group.family} from {group.start:g}, {len(group.sigmas)} runs"
            shares = [[sigma / group.start for sigma in run] for run in zip(*group.sigmas, strict=True)]
            _draw_line(axes, [layers.index(layer) for layer in group.layers], shares, number, label)
            rows += _rows(title, label, group.layers, shares)
        _finish(axes, layers, "\n".join(textwrap.wrap(title, 40)))
    layers, alone = (), shipped_decay()
    for number, (family, name) in enumerate(SHIPPED.items()):
        found = {layer: [sigma / alone] for layer, _, sigma in shipped_sigmas(name)}
        layers = layers or tuple(found)
        _draw_line(shipped, [layers.index(layer) for layer in found], list(found.values()), number, f"{family}, 1 run")
        rows += _rows("3x3, decayed", family, list(found), list(found.values()))
    _finish(shipped, layers, f"3x3 kernels, shipped weights, sigmas decayed, 50,000 images; 1 is {alone:.2f} taps")
    figure.suptitle("Sigma after training, divided by what the start and weight decay alone give")
    return save_figure(figure, path, rows)


def _draw_line(axes: Axes, places: Sequence[int], shares: Sequence[Sequence[float]], number: int, label: str) -> None:
    """The mean over runs as a line, and their range as a band."""
    colour, means = COLOURS[number], [mean(values) for values in shares]
    axes.plot(places, means, STYLES[number], color=colour, marker="os^D"[number], markersize=4, label=label)
    low, high = [min(values) for values in shares], [max(values) for values in shares]
    axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)


def _finish(axes: Axes, layers: Sequence[str], title: str) -> None:
    axes.axhline(1, color="0.4", linewidth=1)
    plain_axes(axes, x="static layer, from input to output", y="sigma / sigma without data")
    axes.set_title(title, loc="left", fontsize=9)
    axes.set_yscale("log")
    ticks = (0.3, 0.5, 0.7, 1, 1.5, 2, 3)
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xticks(range(len(layers)), layers, rotation=60, ha="right", fontsize=7)
    axes.legend(frameon=False, fontsize=7)


def _rows(panel: str, label: str, layers: Sequence[str], shares: Sequence[Sequence[float]]) -> list[dict[str, object]]:
    return [
        {"panel": panel, "network": label, "layer": layer, "runs": len(values), "mean": mean(values),
         "lowest": min(values), "highest": max(values)}
        for layer, values in zip(layers, shares, strict=True)
    ]  # fmt: skip
