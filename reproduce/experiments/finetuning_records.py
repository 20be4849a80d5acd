"""Recorded finetuning runs, a row of a CSV file each, and their table."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..markdown import table
from .records import write_records
from .tables import paired_difference

__all__ = ["FinetuningRun", "finetuning_gains", "finetuning_table", "write_finetuning"]


@dataclass(frozen=True, kw_only=True)
class FinetuningRun:
    """One finetuning.

    Attributes:
        net, family: network, and "plain", "sgmconv" or "gmconv".
        start: "pretrained"; "frozen" when the classifier alone is trained; "random" for random weights.
        dataset: name of the images.
        per_class: training images of each class, drawn with the seed; None for all of them.
        image_size: side of the images in pixels.
        statistics: "kept" when batch norms keep their running statistics, "batch" when they take those of each batch.
        optimizer: timm's name of the optimizer.
        lr: largest learning rate; None for that of the recipe, before the run.
        layer_decay: ratio of each layer's learning rate to that of the next layer.
        sigma_init: initial sigma of the masks of converted weights, as in `convert`; "" for its default.
        batch, epochs, seed: batch size, number of epochs, and seed of images, order, augmentation and classifier.
        precision: "no" for float32, or "bf16".
        best_epoch: first epoch of the highest accuracy, of those after which the network was evaluated.
        correct, count: validation images that it classified correctly, and all of them.
        curve: epoch and correct images of every evaluation, as "EPOCH:CORRECT EPOCH:CORRECT".
        seconds, commit, device: wall time, the code, and the processor or GPU.
    """

    net: str
    family: str
    start: str
    dataset: str
    per_class: int | None
    image_size: int
    statistics: str
    optimizer: str
    lr: float | None
    layer_decay: float = 1.0
    sigma_init: str = ""
    batch: int
    epochs: int
    seed: int
    precision: str
    best_epoch: int = 0
    correct: int = 0
    count: int = 0
    curve: str = ""
    seconds: float = 0.0
    commit: str = ""
    device: str = ""

    @property
    def setting(self) -> tuple[str, ...]:
        """Network, images, batch size, epochs and optimizer in words."""
        family = {"plain": "standard", "sgmconv": "S-GMConv", "gmconv": "GMConv"}[self.family]
        masks = f" from {self.sigma_init}" if self.sigma_init else ""
        start = {"frozen": ", classifier alone", "random": ", from random weights"}.get(self.start, "")
        few = f", {self.per_class} of each class" if self.per_class else ""
        images = f"{self.dataset}{few}, {self.image_size} px"
        decay = "" if self.layer_decay == 1 else f", layer decay {self.layer_decay:g}"
        return self.net, f"{family}{masks}{start}", images, str(self.batch), f"{self.optimizer}{decay}", self.statistics

    @property
    def last_correct(self) -> int:
        """Validation images that are classified correctly after the last epoch."""
        return int(self.curve.rpartition(":")[2])

    @property
    def key(self) -> tuple[object, ...]:
        """What makes it this run and no other."""
        rate = None if self.lr is None else f"{self.lr:.6g}"  # as it is written
        return (*(getattr(self, field.name) for field in fields(self)[:15] if field.name != "lr"), rate)


def write_finetuning(path: Path, runs: Sequence[FinetuningRun]) -> None:
    """Replace the file of recorded runs as a whole; it is sorted, whatever the order in which runs finished."""
    write_records(path, sorted(runs, key=lambda one: (*map(str, one.key[:-1]), one.lr or 0)))


_COLUMNS = (
    *("network", "masks", "images", "batch", "optimizer", "statistics", "rate"),
    *("best epoch (%)", "last epoch (%)", "which is best"),
)


def finetuning_table(runs: Sequence[FinetuningRun]) -> str:
    """Return a Markdown table with a row for each setting and rate; runs that differ only in their seed share one."""
    groups: dict[tuple[Any, ...], list[FinetuningRun]] = {}
    for one in runs:
        groups.setdefault((*one.setting, one.lr, one.epochs), []).append(one)
    rows = []
    for (*setting, rate, epochs), found in groups.items():
        scores = ", ".join(f"{100 * one.correct / one.count:.1f}" for one in found)
        last = ", ".join(f"{100 * one.last_correct / one.count:.1f}" for one in found)
        best = ", ".join(f"{one.best_epoch} of {epochs}" for one in found)
        rows.append((*setting, f"{rate:.2g}", scores, last, best))
    return table(_COLUMNS, rows, right=(3, 6, 7, 8, 9))


def finetuning_gains(runs: Sequence[FinetuningRun]) -> str:
    """Return a Markdown table of the differences between masked networks and the standard one, paired by seed.

    It has the settings with at least three pairs. The accuracies are those of the best epochs.
    """
    by_setting: dict[tuple[Any, ...], dict[str, dict[int, float]]] = {}
    for one in runs:
        net, masks, images, *others = one.setting
        arms = by_setting.setdefault((net, images, *others, one.lr, one.epochs, one.precision), {})
        arms.setdefault(masks, {})[one.seed] = 100 * one.correct / one.count
    rows = []
    for (net, images, *_, rate, _, _), arms in by_setting.items():
        standard = arms.pop("standard", {})
        for masks, scores in arms.items():
            difference = paired_difference(scores, standard)
            if difference is not None and len(difference.points) > 2:
                rows.append((net, images, f"{rate:.2g}", masks, str(len(difference.points)), str(difference)))
    return table(("network", "images", "rate", "masks", "pairs", "points (95 % interval)"), rows, right=(2, 4))
