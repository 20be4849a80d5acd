"""Tables of recorded runs: means over seeds, and differences between arms that were trained with the same seeds."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import NamedTuple

from scipy.stats import t as student

from gmconv_zoo.models._names import net_of
from gmconv_zoo.sigmas import DYNAMIC_SPREAD

from ..markdown import table
from .arms import EXPERIMENTS, KERNEL_SIZES, Arm, Experiment
from .records import DEPTHWISE_NET, RunRecord, base_recipe

__all__ = [
    "NETWORKS",
    "Difference",
    "Setting",
    "differences",
    "experiment_tables",
    "highlights",
    "gain_table",
    "gains_by_images",
    "paired_difference",
    "parts_table",
]

_COLUMNS = (
    "arm",
    "seeds",
    "top-1 (%), mean",
    "lowest to highest",
    "difference, paired by seed (95 % interval)",
    "stem",
)


@dataclass(frozen=True)
class Difference:
    """Differences of pairs of runs in points: their mean, and half its 95 % interval by Student's t for three pairs."""

    points: tuple[float, ...]

    @property
    def value(self) -> float:
        return mean(self.points)

    @property
    def margin(self) -> float | None:
        pairs = len(self.points)
        if pairs < 3:
            return None
        return float(student.ppf(0.975, pairs - 1)) * stdev(self.points) / math.sqrt(pairs)

    def __str__(self) -> str:
        if self.margin is None:
            pairs = "one pair" if len(self.points) == 1 else f"{len(self.points)} pairs"
            return f"{self.value:+.2f} ({pairs}, no interval)"
        return f"{self.value:+.2f} ({self.value - self.margin:+.2f} to {self.value + self.margin:+.2f})"


def paired_difference(arm: dict[int, float], against: dict[int, float]) -> Difference | None:
    """Return the differences of two arms, given in percent by seed, for the seeds that both have, if any."""
    points = tuple(value - against[seed] for seed, value in sorted(arm.items()) if seed in against)
    return Difference(points) if points else None


def experiment_tables(records: Sequence[RunRecord]) -> str:
    """Return a Markdown table, under a heading, for every experiment and setting that has been recorded.

    An experiment has a table when most of its arms have a run, and the one that the others are compared with does;
    arms without one are shown as not run.
    """
    parts = [
        f"**{experiment.title}.** {setting}.\n\n{_table(experiment, by_arm)}"
        for experiment, setting, by_arm in _recorded(records)
    ]
    return "\n\n".join(parts) or "No experiment has been recorded in most of its arms yet."


# What the README shows of an experiment: its name, the arms of S-GMConv and GMConv, the network in words, and by how
# many points GMConv beat the standard network in the paper. Half of a kernel of 11x11 is a sigma of 5.
_HIGHLIGHTS = (
    ("table1", "S-GMConv", "GMConv", "ResNet-20", "+0.23 (160 epochs)"),
    *(
        (
            f"kernel{size}",
            f"S-GMConv from {start}",
            "GMConv from half the kernel",
            f"ResNet-8, {size}x{size} kernels",
            "not in the paper",
        )
        for size, start in ((5, "half the kernel"), (7, "half the kernel"), (11, "5"))
    ),
)


def highlights(records: Sequence[RunRecord]) -> str:
    """Return the README's table: for each experiment, the setting with most images that has three pairs of seeds."""
    rows = []
    for name, static, dynamic, network, paper in _HIGHLIGHTS:
        found = _recorded_of(EXPERIMENTS[name], records)
        if not found:
            continue
        setting, by_arm = max(found, key=lambda pair: _weight(pair[0], len(_scores(pair[1][static]))))
        against = _scores(by_arm[EXPERIMENTS[name].against])
        compared = [paired_difference(_scores(by_arm[label]), against) for label in (static, dynamic)]
        images = f"{setting.images:,} images" if setting.images else "all images"
        data = f"{setting.dataset.removesuffix(' test')}, {images}, {setting.epochs} epochs, {len(against)} seeds"
        cells = ["-" if difference is None else str(difference) for difference in compared]
        rows.append((f"{network}: {data}", f"{mean(against.values()):.2f} %", *cells, paper))
    rows.append(("ResNet-50: ImageNet", "not trained here", "-", "-", "+0.85 (90 epochs)"))
    columns = ("network and data", "standard", "S-GMConv, points", "GMConv, points", "GMConv in the paper, points")
    return table(columns, rows, right=(1,))


def _weight(setting: "Setting", seeds: int) -> tuple[float, ...]:
    """How much a setting says: with three seeds or more, first by the number of images; then by seeds and epochs."""
    return min(seeds, 3), setting.images or math.inf, seeds, setting.epochs


def differences(records: Sequence[RunRecord], experiment: Experiment) -> "dict[Setting, dict[str, Difference]]":
    """Return the difference of an experiment's arms to the one that it names, by setting with a table, and by label."""
    found: dict[Setting, dict[str, Difference]] = {}
    for setting, by_arm in _recorded_of(experiment, records):
        scores = {label: _scores(runs) for label, runs in by_arm.items()}
        against = scores.pop(experiment.against)
        pairs = {label: paired_difference(values, against) for label, values in scores.items()}
        found[setting] = {label: difference for label, difference in pairs.items() if difference}
    return found


# Networks whose kernel size is varied, by the beginning of the names of their experiments.
NETWORKS = {"kernel": "ResNet-8", "depthwise": "small ConvNeXt, depthwise"}


def gains_by_images(records: Sequence[RunRecord], kernels: str) -> dict[int | None, dict[int, dict[str, Difference]]]:
    """Return the difference to the standard network by number of training images (None for all), kernel size and arm.

    ``kernels`` is a key of `NETWORKS`. Where a size was tried in several settings (epochs, precision), the one with
    most pairs of runs is taken.
    """
    found: dict[int | None, dict[int, dict[str, Difference]]] = {}
    for size in KERNEL_SIZES:
        for setting, gains in differences(records, EXPERIMENTS[f"{kernels}{size}"]).items():
            by_size = found.setdefault(setting.images, {})
            if _pairs(gains) > _pairs(by_size.get(size, {})):
                by_size[size] = gains
    return dict(sorted(found.items(), key=lambda item: item[0] or math.inf))


def _pairs(gains: dict[str, Difference]) -> int:
    return sum(len(difference.points) for difference in gains.values())


def gain_table(records: Sequence[RunRecord]) -> str:
    """Return a Markdown table of `gains_by_images`, with the pairs of all kernels larger than 3x3 together.

    A cell also says in how many of its pairs the masked network was better.
    """
    labels = [arm.label for arm in EXPERIMENTS["kernel7"].arms[1:]]
    rows = []
    for kernels, network in NETWORKS.items():
        for images, by_size in gains_by_images(records, kernels).items():
            groups: dict[str, tuple[int, ...]] = {f"{size}x{size}": (size,) for size in by_size}
            larger = tuple(size for size in by_size if size > 3)
            if len(larger) > 1:
                groups["all larger than 3x3"] = larger
            for name, sizes in groups.items():
                cells = (_gain([by_size[size][label] for size in sizes if label in by_size[size]]) for label in labels)
                rows.append((network, f"{images:,}" if images else "all", name, *cells))
    return table(("network", "images", "kernels", *labels), rows, right=(1,))


def parts_table(records: Sequence[RunRecord]) -> str:
    """Return a Markdown table of what each part of a mask gains, by kernel size and number of training images."""
    labels = [arm.label for arm in EXPERIMENTS["kernel7-parts"].arms[1:]]
    rows = []
    for size in KERNEL_SIZES[1:]:
        for setting, gains in differences(records, EXPERIMENTS[f"kernel{size}-parts"]).items():
            cells = (str(gains[label]) if label in gains else "-" for label in labels)
            rows.append((f"{size}x{size}", f"{setting.images:,}" if setting.images else "all", *cells))
    return table(("kernels", "images", *labels), rows, right=(1,))


def _gain(found: Sequence[Difference]) -> str:
    points = tuple(point for difference in found for point in difference.points)
    if not points:
        return "-"
    return f"{Difference(points)}, {sum(point > 0 for point in points)} of {len(points)}"


def _recorded(records: Sequence[RunRecord]) -> list[tuple[Experiment, "Setting", dict[str, list[RunRecord]]]]:
    """Every experiment and setting of which most arms have a run, and the one that the others are compared with."""
    return [(one, *found) for one in EXPERIMENTS.values() for found in _recorded_of(one, records)]


def _recorded_of(
    experiment: Experiment, records: Sequence[RunRecord]
) -> list[tuple["Setting", dict[str, list[RunRecord]]]]:
    found = []
    for setting in _settings(records):
        within = [record for record in records if _setting(record) == setting]
        by_arm = {arm.label: [r for r in within if _is_of(r, arm)] for arm in experiment.arms}
        recorded = [label for label, runs in by_arm.items() if runs]
        if experiment.against in recorded and 2 * len(recorded) > len(by_arm):
            found.append((setting, by_arm))
    return found


def _scores(runs: Iterable[RunRecord]) -> dict[int, float]:
    return {run.seed: run.top1_percent for run in runs if run.top1_percent is not None}


_PRECISIONS = {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}


class Setting(NamedTuple):
    """What runs must share to be compared, as in `RunRecord`.

    All images of the dataset are None, and ``whole`` is the paper's number of epochs, None where it does not train the
    network.
    """

    dataset: str
    net: str
    images: int | None
    epochs: int
    precision: str
    whole: int | None

    def __str__(self) -> str:
        subset = "" if self.images is None else f", trained on {self.images:,} images"
        length = _length(self.epochs, self.whole)
        return f"{self.dataset}{subset}, {self.net}, {length}, {_PRECISIONS[self.precision]}"


def _setting(record: RunRecord) -> Setting:
    whole = None if net_of(record.model) == DEPTHWISE_NET else base_recipe(record.model).epochs
    return Setting(record.dataset, _net(record), record.train_images, record.epochs, record.precision, whole)


def _settings(records: Iterable[RunRecord]) -> list[Setting]:
    settings = {_setting(record) for record in records}
    return sorted(settings, key=lambda s: (s.dataset, s.net, -(s.images or 10**9), -s.epochs, s.precision))


def _net(record: RunRecord) -> str:
    """The network's name; for a CIFAR ResNet of other depth, e.g. "ResNet-8"."""
    layers = record.options.get("layers")
    return net_of(record.model) if layers is None else f"ResNet-{2 + 2 * sum(layers)}"


def _is_of(record: RunRecord, arm: Arm) -> bool:
    """Whether a run is one of an arm."""
    family = record.model.removesuffix(net_of(record.model)).removesuffix("_")
    usual = base_recipe(record.model).to_dict()
    changes = {name: value for name, value in arm.changes.items() if value != usual[name]}  # as records have them
    same_start = record.masked_start == arm.masked_start
    return same_start and family == arm.family and record.options == arm.options and record.changes == changes


def _length(epochs: int, whole: int | None) -> str:
    if whole is None:
        return f"{epochs} epochs"
    return f"the paper's {whole} epochs" if epochs == whole else f"short schedule: {epochs} epochs instead of {whole}"


def _table(experiment: Experiment, by_arm: dict[str, list[RunRecord]]) -> str:
    scores = {label: _scores(runs) for label, runs in by_arm.items()}
    rows = []
    for label, runs in by_arm.items():
        values = list(scores[label].values())
        failed = len(runs) - len(values)
        seeds = f"{len(values)}" + (f", {failed} failed" if failed else "") if runs else "not run"
        if label == experiment.against:
            compared = "(compared with this)"
        else:
            difference = paired_difference(scores[label], scores[experiment.against])
            compared = "-" if difference is None else str(difference)
        low_high = f"{min(values):.2f} to {max(values):.2f}" if len(values) > 1 else "-"
        rows.append((label, seeds, f"{mean(values):.2f}" if values else "-", low_high, compared, _stem(runs)))
    return table(_COLUMNS, rows, right=(2,))


def _stem(runs: Sequence[RunRecord]) -> str:
    """How many dynamic stems depend on the image after training, and by how much; "-" for networks without one."""
    spreads = sorted(run.stem_mask_spread for run in runs if run.stem_mask_spread is not None)
    if not spreads:
        return "-"
    dynamic = sum(spread >= DYNAMIC_SPREAD for spread in spreads)
    live = min((float(share) for run in runs for share in run.stem_live.split()), default=0.0)
    return (
        f"dynamic in {dynamic} of {len(spreads)} (mask spread {spreads[0]:.3f} to {spreads[-1]:.3f}, every hidden unit "
        f"above 0 on {100 * live:.0f} % of images or more)"
    )
