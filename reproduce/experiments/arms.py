"""The comparisons that are trained for: which networks, from which settings, against what.

To add one, add an `Experiment` to `EXPERIMENTS`; `python -m reproduce.experiments` and the tables follow from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from gmconv_zoo.layers.static import initial_sigma

from .records import DEPTHWISE_NET, RunRecord, base_recipe, recipe_changes

__all__ = ["DATASETS", "EXPERIMENTS", "NETS", "Arm", "Dataset", "Experiment", "plan_runs"]

NETS = ("cifar_resnet20", "cifar_resnet56", "cifar_resnet18")


@dataclass(frozen=True)
class Dataset:
    """A dataset's name on the command line, how many classes and images it must contain, and the side of its images."""

    name: str
    classes: int
    train: int
    val: int
    image_size: int


# By what records call their validation images
DATASETS = {
    "CIFAR-10 test": Dataset("cifar10", 10, 50_000, 10_000, 32),
    "CIFAR-100 test": Dataset("cifar100", 100, 50_000, 10_000, 32),
}


@dataclass(frozen=True)
class Arm:
    """One side of a comparison, by the label that tables give it; options, changes and masked start as in `RunRecord`.

    The family is "stdconv", "sgmconv" or "gmconv", or "" for timm's own network.
    """

    label: str
    family: str
    options: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    masked_start: float | None = None


@dataclass(frozen=True)
class Experiment:
    """Arms that are trained alike, with the same seeds, in the order of the table.

    Attributes:
        title: what is compared; says so where the paper's experiment was another one.
        against: label of the arm that the others are compared with, seed by seed.
        net: the network, where the experiment is about this one; "" for those that are asked for.
    """

    title: str
    arms: tuple[Arm, ...]
    against: str
    net: str = ""


# Sides of the kernels, in taps, of the networks of three blocks in which large kernels are tried.
KERNEL_SIZES = (3, 5, 7, 11)
# Without patches, images of 32 pixels have maps of 32, 16, 8 and 4. With patches of 2x2, it would be 8, 4, 2 and 1, and
# large kernels would have little more than one tap to read.
_CONVNEXT = {"depths": [1, 1, 1, 1], "dims": [16, 32, 64, 128], "patch_size": 1}


def _starts(size: int) -> dict[str, float | str]:
    """Initial sigmas of masks of such kernels, by their names in tables; a sigma with two names has the first."""
    named: dict[str, float | str] = {"5": 5.0, "half the kernel": "kernel", "a third of the kernel": _third(size)}
    first = {initial_sigma((size, size), sigma): start for start, sigma in reversed(named.items())}
    return {start: sigma for start, sigma in named.items() if start in first.values()}


def _third(size: int) -> float:
    return round(size / 3, 2)


def _with_kernels(size: int) -> Experiment:
    """Masks from several sigmas in a small network of larger kernels, whose sigmas are not decayed."""
    network = {"layers": [1, 1, 1], "kernel_size": size}
    masked = [
        Arm(f"S-GMConv from {start}", "sgmconv", {**network, "sigma_init": sigma}, _UNDECAYED)
        for start, sigma in _starts(size).items()
    ]
    dynamic = Arm("GMConv from half the kernel", "gmconv", {**network, "sigma_init": "kernel"}, _UNDECAYED)
    standard = Arm("standard", "stdconv", network, _UNDECAYED)
    title = f"Kernels of {size}x{size} in a residual network of three blocks"
    return Experiment(title, (standard, *masked, dynamic), "standard")


def _standard_settings(size: int) -> Experiment:
    """The standard network of such kernels at other learning rates and weight decays, so that masks meet its best."""
    network = {"layers": [1, 1, 1], "kernel_size": size}
    arms = [
        Arm(f"lr {lr:g}, weight decay {decay:g}", "stdconv", network, {**_UNDECAYED, "lr": lr, "weight_decay": decay})
        for lr in (0.03, 0.1, 0.3)
        for decay in (1e-4, 5e-4, 2.5e-3)
    ]
    title = f"The standard network of {size}x{size} kernels at other learning rates and weight decays"
    return Experiment(title, tuple(arms), "lr 0.1, weight decay 0.0001")


def _at_best_decay(size: int) -> Experiment:
    """Static masks that start small, at the weight decay at which the standard network was best (7x7: 0.0005)."""
    kept = ("standard", "S-GMConv from half the kernel", "S-GMConv from a third of the kernel")
    arms = [
        replace(arm, changes={**arm.changes, "weight_decay": 5e-4})
        for arm in _with_kernels(size).arms
        if arm.label in kept
    ]
    title = f"Kernels of {size}x{size} in that network, with a weight decay of 0.0005"
    return Experiment(title, tuple(arms), "standard")


def _parts_of_a_mask(size: int) -> Experiment:
    """What of a mask helps: that it moves, that it is there, or only the kernels that training starts from."""
    usual = {arm.label: arm for arm in _with_kernels(size).arms}
    standard, masked = usual["standard"], usual["S-GMConv from a third of the kernel"]
    fixed = {**masked.changes, "sigma_lr_scale": 0.0}
    arms = (
        standard,
        masked,
        replace(masked, label="the same mask, sigma not trained", changes=fixed),
        replace(standard, label="no mask, but kernels multiplied by it before training", masked_start=_third(size)),
    )
    return Experiment(f"What of a mask helps kernels of {size}x{size} in that network", arms, "standard")


def _depthwise(size: int) -> Experiment:
    """Static masks from several sigmas in a small ConvNeXt, whose large kernels are depthwise.

    Its stem has kernels of 1x1, which have no mask.
    """
    network = {**_CONVNEXT, "kernel_sizes": size}
    masked = [
        Arm(f"S-GMConv from {start}", "sgmconv", {**network, "sigma_init": sigma})
        for start, sigma in _starts(size).items()
    ]
    standard = Arm("standard", "", network)
    title = f"Depthwise kernels of {size}x{size} in a small ConvNeXt"
    return Experiment(title, (standard, *masked), "standard", DEPTHWISE_NET)


def _decay_of_sigmas(name: str, family: str) -> Experiment:
    usual = Arm("decayed like weights", family)
    arms = (usual, Arm("not decayed", family, {}, _UNDECAYED))
    return Experiment(f"Weight decay on {name}'s sigmas, which the paper leaves open", arms, usual.label)


_UNDECAYED = {"sigma_weight_decay": 0.0}
_LONG = {"milestones": [80]}
_STD = Arm("standard", "stdconv")
_STATIC, _DYNAMIC = Arm("S-GMConv", "sgmconv"), Arm("GMConv", "gmconv")

EXPERIMENTS: dict[str, Experiment] = {
    "table1": Experiment("Networks of Table I", (_STD, _STATIC, _DYNAMIC), "standard"),
    "table1-long": Experiment(
        "Networks of Table I with the paper's first learning rate for 80 epochs",
        (
            *(replace(arm, changes=_LONG) for arm in (_STD, _STATIC, _DYNAMIC)),
            Arm("GMConv, sigma module clipped at 0.02", "gmconv", {}, {**_LONG, "clip_sigma": 0.02}),
        ),
        "standard",
    ),
    "fig6": Experiment(
        "Initial sigma of S-GMConv (Fig. 6)",
        (
            Arm("none (standard)", "stdconv"),
            Arm("sigma 1", "sgmconv", {"sigma_init": 1.0}),
            Arm("sigma 5", "sgmconv"),
            Arm("sigma 10", "sgmconv", {"sigma_init": 10.0}),
        ),
        "none (standard)",
    ),
    "table4": Experiment(
        "What the dynamic stem predicts (designs of Table IV; the paper's own are on ImageNet)",
        (
            _STD,
            Arm("one sigma", "gmconv", {"sigma_design": "single"}),
            Arm("sigma1 and sigma2", "gmconv", {"sigma_design": "pair"}),
            Arm("sigma1 and sigma2 / sigma1", "gmconv"),
        ),
        "standard",
    ),
    "sigma-decay": _decay_of_sigmas("S-GMConv", "sgmconv"),
    "sigma-decay-dynamic": _decay_of_sigmas("GMConv", "gmconv"),
    **{f"kernel{size}": _with_kernels(size) for size in KERNEL_SIZES},
    **{f"kernel{size}-standard": _standard_settings(size) for size in KERNEL_SIZES},
    "kernel7-decay": _at_best_decay(7),
    **{f"kernel{size}-parts": _parts_of_a_mask(size) for size in KERNEL_SIZES[1:]},
    **{f"depthwise{size}": _depthwise(size) for size in KERNEL_SIZES},
    "depthwise7-standard": Experiment(
        "The standard ConvNeXt of depthwise 7x7 kernels at other learning rates and weight decays",
        tuple(
            Arm(label, "", {**_CONVNEXT, "kernel_sizes": 7}, changes)
            for label, changes in (
                ("lr 0.002, weight decay 0.05", {}),
                ("lr 0.0007", {"lr": 0.0007}),
                ("lr 0.006", {"lr": 0.006}),
                ("weight decay 0.005", {"weight_decay": 0.005}),
                ("weight decay 0.5", {"weight_decay": 0.5}),
            )
        ),
        "lr 0.002, weight decay 0.05",
        DEPTHWISE_NET,
    ),
}


def plan_runs(
    experiments: Sequence[str],
    *,
    nets: Sequence[str] = NETS[:1],
    datasets: Sequence[str] = ("cifar10",),
    seeds: Sequence[int] = (0, 1, 2),
    epochs: int | None = None,
    changes: dict[str, Any] | None = None,
    precision: str = "no",
) -> list[RunRecord]:
    """Return every run that some experiments need, each once and without results, so that whole seeds finish first.

    A dataset is "cifar10" or "cifar100"; with ":5000" after it, its first 5,000 training images only, the same number
    of every class. Without a number of epochs, the recipes are the paper's; ``changes`` are further fields of them, for
    every arm.
    """
    if not experiments or set(experiments) - set(EXPERIMENTS):
        raise ValueError(f"experiments={list(experiments)}: pass one or more of {', '.join(EXPERIMENTS)}.")
    runs: dict[str, RunRecord] = {}
    for dataset, net, seed, experiment in product(datasets, nets, seeds, map(EXPERIMENTS.__getitem__, experiments)):
        label, images = _dataset_of(dataset)
        for arm in experiment.arms:
            model = "_".join(filter(None, [arm.family, experiment.net or net]))
            length = {} if epochs is None else {"epochs": epochs}
            recipe = base_recipe(model).adapt(**{**(changes or {}), **arm.changes, **length})
            run = RunRecord(
                model=model,
                options=arm.options,
                dataset=label,
                train_images=images,
                epochs=recipe.epochs,
                changes=recipe_changes(model, recipe.to_dict()),
                seed=seed,
                precision=precision,
                masked_start=arm.masked_start,
            )
            runs.setdefault(run.key, run)
    return list(runs.values())


def _dataset_of(name: str) -> tuple[str, int | None]:
    """Return what records call a dataset's validation images, and the number of training images, None for all."""
    names = {dataset.name: label for label, dataset in DATASETS.items()}
    key, colon, images = name.partition(":")
    if key not in names:
        raise ValueError(f"set {name!r}: pass one or more of {', '.join(names)}, or NAME:IMAGES for a subset.")
    label, dataset = names[key], DATASETS[names[key]]
    if not colon:
        return label, None
    if not images.isdigit() or not 0 < int(images) < dataset.train or int(images) % dataset.classes:
        raise ValueError(
            f"set {name!r}: pass a number of images below {dataset.train:,} that is a multiple of {dataset.classes}."
        )
    return label, int(images)
