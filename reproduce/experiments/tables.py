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
from .arms import EXPERIMENTS, Arm, Experiment
from .records import DEPTHWISE_NET, RunRecord, base_recipe

__all__ = [
    "Difference",
    "Setting",
    "differences",
    "experiment_tables",
    "highlights",
    "paired_difference",
    "summary_table",
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
    """The mean of paired differences in points, and half its 95 % interval by Student's t for three pairs or more."""

    value: float
    margin: float | None
    pairs: int

    def __str__(self) -> str:
        if self.margin is None:
            pairs = "one pair" if self.pairs == 1 else f"{self.pairs} pairs"
            return f"{self.value:+.2f} ({pairs}, no interval)"
        return f"{self.value:+.2f} ({self.value - self.margin:+.2f} to {self.value + self.margin:+.2f})"


def paired_difference(arm: dict[int, float], against: dict[int, float]) -> Difference | None:
    """Return the mean difference of two arms, given in percent by seed, over the seeds that both have, if any."""
    differences = [value - against[seed] for seed, value in sorted(arm.items()) if seed in against]
    if not differences:
        return None
    if len(differences) < 3:
        return Difference(mean(differences), None, len(differences))
    quantile = float(student.ppf(0.975, len(differences) - 1))
    return Difference(mean(differences), quantile * stdev(differences) / math.sqrt(len(differences)), len(differences))


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


def summary_table(records: Sequence[RunRecord]) -> str:
    """Return a Markdown table with a row for every recorded setting in which masks are compared with none.

    A cell has the difference to the standard network in points, paired by seed, of the arm of each family that starts
    at half the kernel's width, else of its first arm.
    """
    rows = []
    for experiment, setting, by_arm in _recorded(records):
        standard = next((arm for arm in experiment.arms if arm.family in ("stdconv", "")), None)
        if standard is None or experiment.against != standard.label:
            continue
        scores = {label: _scores(runs) for label, runs in by_arm.items()}
        cells = []
        for family in ("sgmconv", "gmconv"):
            labels = [arm.label for arm in experiment.arms if arm.family == family]
            label = next((one for one in labels if one.endswith(_HALF)), labels[0] if labels else None)
            found = None if label is None else paired_difference(scores[label], scores[standard.label])
            cells.append("-" if found is None else str(found))
        base = scores[standard.label].values()
        rows.append((experiment.title, str(setting), str(len(base)), f"{mean(base):.2f}", *cells))
    if not rows:
        return "No comparison has been recorded yet."
    return table(("experiment", "setting", "seeds", "standard, top-1 (%)", "S-GMConv", "GMConv"), rows, right=(2, 3))


# What the README shows of an experiment: its name, the arms of S-GMConv and GMConv, the network in words, and by how
# many points GMConv beat the standard network in the paper.
_HALF = " from half the kernel"
_HIGHLIGHTS = (
    ("table1", "S-GMConv", "GMConv", "ResNet-20", "+0.23 (160 epochs)"),
    *(
        (f"kernel{size}", f"S-GMConv{_HALF}", f"GMConv{_HALF}", f"ResNet-8, {size}x{size} kernels", "not in the paper")
        for size in (5, 7, 11)
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
    return family == arm.family and record.options == arm.options and record.changes == changes


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
