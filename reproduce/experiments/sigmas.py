"""Final sigmas of the recorded runs by depth, and what weight decay alone makes of a sigma."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import mean

import timm
from scipy.stats import spearmanr
from torch import nn

import gmconv_zoo
from gmconv_zoo.classify.recipes import Recipe, recipe_for
from gmconv_zoo.layers.static import initial_sigma
from gmconv_zoo.visualize.masks import layer_masks

from ..markdown import table
from .records import RunRecord

__all__ = [
    "SHIPPED",
    "SigmaRuns",
    "decayed_sigma",
    "decayed_table",
    "depth_table",
    "shipped_decay",
    "shipped_sigmas",
    "undecayed_runs",
    "undecayed_table",
]

# The weights that ship with the package and whose masks were trained, each for 30 epochs on 50,000 images.
SHIPPED = {"S-GMConv": "sgmconv_cifar_resnet20.gm_cifar10", "GMConv": "gmconv_cifar_resnet20.gm_cifar10"}
SHIPPED_EPOCHS, SHIPPED_IMAGES, SHIPPED_START = 30, 50_000, 5.0

_COUNTS = ("first smallest", "first below start", "last largest", "last above start")
_FAMILIES = {"sgmconv": "S-GMConv", "gmconv": "GMConv"}


@dataclass(frozen=True)
class SigmaRuns:
    """Runs of one network whose sigmas start at one value and are not decayed.

    Attributes:
        setting: network, images and number of epochs, in words.
        family: "S-GMConv" or "GMConv".
        kernel_size: side of the kernels in taps.
        start: initial sigma in taps.
        layers: names of the static layers from input to output; GMConv's dynamic stem is not one of them.
        sigmas: final sigmas in taps, a tuple over the layers for every run.
        seeds: number of different seeds. Runs that repeat a seed differ in precision, in another part of the recipe or
            in rounding on a GPU; those of one seed that end with equal sigmas are one run.
    """

    setting: str
    family: str
    kernel_size: int
    start: float
    layers: tuple[str, ...]
    sigmas: tuple[tuple[float, ...], ...]
    seeds: int


def decayed_sigma(start: float, recipe: Recipe, images: int) -> float:
    """Return what weight decay alone makes of a sigma, in taps, that has no gradient.

    The recipe is one of SGD with plain momentum and the schedule "multistep", without a warm-up. The number of training
    images gives the number of updates in an epoch.
    """
    sigma, velocity = start, 0.0
    for epoch in range(recipe.epochs):
        drops = sum(epoch >= milestone for milestone in recipe.milestones)
        lr = recipe.lr * recipe.sigma_lr_scale * recipe.decay_rate**drops
        for _ in range(math.ceil(images / recipe.batch_size)):
            velocity = recipe.momentum * velocity + recipe.sigma_weight_decay * sigma
            sigma -= lr * velocity
    return sigma


def undecayed_runs(records: Sequence[RunRecord]) -> list[SigmaRuns]:
    """Return the finished runs that switch off the weight decay of sigmas, by setting, kernel size, family and start.

    Runs whose sigmas are not trained are left out, and so is the depthwise network, whose recipe has no such decay.
    """
    undecayed = [
        record
        for record in records
        if record.sigmas and record.changes.get("sigma_weight_decay") == 0 and record.changes.get("sigma_lr_scale") != 0
    ]
    found = sorted(((_key(record), record) for record in undecayed), key=lambda pair: pair[0])
    groups = []
    for (setting, size, place, start), members in groupby(found, key=lambda pair: pair[0]):
        runs = [record for _, record in members]
        layers = tuple(gmconv_zoo.sigmas(timm.create_model(runs[0].model, **runs[0].options)))
        ends = dict.fromkeys((run.seed, *map(float, run.sigmas.split())) for run in runs)  # each once, in order
        sigmas = tuple(tuple(values) for _, *values in ends)
        seeds = len({seed for seed, *_ in ends})
        groups.append(SigmaRuns(setting, list(_FAMILIES.values())[place], size, -start, layers, sigmas, seeds))
    return groups


def undecayed_table(records: Sequence[RunRecord]) -> str:
    """Return Markdown that counts in how many undecayed runs sigma follows the depth, a table for every setting."""
    columns = ("kernels", "network", "start", "runs (seeds)", *_COUNTS, "mean sigma by layer, from input to output")
    parts = [
        f"**{setting}.**\n\n{table(columns, [_counted(group) for group in groups])}"
        for setting, groups in groupby(undecayed_runs(records), key=lambda group: group.setting)
    ]
    return "\n\n".join(parts)


def depth_table(records: Sequence[RunRecord]) -> str:
    """Return Markdown that counts, for each kernel size, in how many undecayed runs sigma follows the depth."""
    rows = []
    for size, members in groupby(sorted(undecayed_runs(records), key=_size), key=_size):
        groups = list(members)
        ranks = [spearmanr(range(len(run)), run).statistic for group in groups for run in group.sigmas]
        rows.append((f"{size}x{size}", str(len(ranks)), *_counts(groups), f"{min(ranks):.2f} to {max(ranks):.2f}"))
    return table(("kernels", "runs", *_COUNTS, "rank correlation of sigma and depth"), rows, right=(1,))


def _size(group: SigmaRuns) -> int:
    return group.kernel_size


def shipped_sigmas(name: str) -> list[tuple[str, str, float]]:
    """Return layer, stage and sigma in taps of every static layer of packaged weights."""
    model: nn.Module = timm.create_model(name, pretrained=True)
    return [(mask.name, mask.stage, mask.horizontal) for mask in layer_masks(model, static_only=True)]


def shipped_decay() -> float:
    """Return the sigma in taps that weight decay alone gives in the training of the packaged weights."""
    recipe = recipe_for(SHIPPED["S-GMConv"]).adapt(epochs=SHIPPED_EPOCHS)
    return decayed_sigma(SHIPPED_START, recipe, SHIPPED_IMAGES)


def decayed_table() -> str:
    """Return a Markdown table of the packaged weights' sigmas by stage, next to what decay alone gives."""
    alone, rows = shipped_decay(), []
    for family, name in SHIPPED.items():
        for stage, members in groupby(shipped_sigmas(name), key=lambda layer: layer[1]):
            values = [sigma for _, _, sigma in members]
            ends = min(values), max(values)
            taps = _range(*(f"{value:.2f}" for value in ends))
            parts = _range(*(f"{100 * (value / alone - 1):+.0f} %" for value in ends))
            rows.append((family, stage, str(len(values)), f"{mean(values):.2f}", taps, f"{alone:.2f}", parts))
    columns = ("network", "stage", "static layers", "mean sigma", "lowest to highest", "decay alone", "difference")
    return table(columns, rows, right=(2, 3, 5))


def _key(record: RunRecord) -> tuple[str, int, int, float]:
    """Setting, kernel size, place of the family and initial sigma, larger ones first."""
    family, _, net = record.model.partition("_")
    size = int(record.options.get("kernel_size", 3))
    start = initial_sigma((size, size), record.options.get("sigma_init", 5.0))
    blocks = record.options.get("layers")
    images = "all" if record.train_images is None else f"{record.train_images:,}"
    setting = f"{net}{f' with {sum(blocks)} blocks' if blocks else ''}, trained for {record.epochs} epochs on {images} "
    setting += f"images of {record.dataset.removesuffix(' test')}"
    return setting, size, list(_FAMILIES).index(family), -start


def _counted(group: SigmaRuns) -> tuple[str, ...]:
    """A row of `undecayed_table`."""
    means = [f"{mean(values):.3g}" for values in zip(*group.sigmas, strict=True)]
    if group.family == "GMConv":  # its first layer is dynamic
        means = ["-", *means]
    runs = f"{len(group.sigmas)} ({group.seeds})"
    start = f"{group.start:g}"
    return f"{group.kernel_size}x{group.kernel_size}", group.family, start, runs, *_counts([group]), ", ".join(means)


def _counts(groups: Sequence[SigmaRuns]) -> list[str]:
    """In how many runs each of `_COUNTS` holds; a sigma that equals another is not the smallest or largest."""
    static = [(run, group.start) for group in groups for run in group.sigmas if group.family == "S-GMConv"]
    every = [(run, group.start) for group in groups for run in group.sigmas]
    flags = (
        [run[0] < min(run[1:]) for run, _ in static],
        [run[0] < start for run, start in static],
        [run[-1] > max(run[:-1]) for run, _ in every],
        [run[-1] > start for run, start in every],
    )
    return [f"{sum(found)} of {len(found)}" if found else "-" for found in flags]


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"
