"""What the zoo aims at, beside the standard network, and which of it a recorded run reached."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Verdict", "verdicts"]

_CIFAR_BATCH, _IMAGENET_BATCH = 128, 32
# least speed relative to standard: (kind, task) for whole networks, for the small CIFAR network, for the stem alone
_NETWORK = {
    ("sgmconv fused", "inference"): 0.99,
    ("sgmconv", "inference"): 0.97,
    ("sgmconv", "training"): 0.97,
    ("gmconv", "inference"): 0.95,
    ("gmconv", "training"): 0.95,
}
_SMALL = {**_NETWORK, ("gmconv", "inference"): 0.90, ("gmconv", "training"): 0.90}
_STEM = {("gmconv", "inference"): 0.85, ("gmconv", "training"): 0.90}
_STEM_NET = "resnet18"  # whose stem is 7x7; others are reported
_PEERS = ("condconv stem", "deformable stem")


@dataclass(frozen=True)
class Verdict:
    """One aim and what was measured.

    Attributes:
        what: network, task, batch, memory format and kind.
        measure: "speed" (at least the limit), "memory" (at most) or the peer that is not to be faster.
        value, limit: measured and aimed at.
        reached: whether it was.
    """

    what: str
    measure: str
    value: float
    limit: float
    reached: bool

    def __str__(self) -> str:
        word = "reached" if self.reached else "MISSED "
        return f"{word} {self.what}: {self.measure} {self.value:.3f} ({self.limit:.3f})"


def verdicts(record: dict[str, Any]) -> list[Verdict]:
    """Hold a run against the aims.

    Args:
        record: what `run_benchmark` returned.

    Returns:
        One verdict per aim that the run has figures for; batches below the aims' own are only reported elsewhere.
    """
    return [verdict for part in record["parts"] for row in part["rows"] for verdict in _of_row(part, row)]


def _of_row(part: dict[str, Any], row: dict[str, Any]) -> Iterator[Verdict]:
    stem, small = part["settings"]["stem_only"], row["net"] == "cifar_resnet20"
    what = (
        f"{row['net']}{' stem' if stem else ''} {row['task']} batch {row['batch']} {row['memory_format']} {row['kind']}"
    )
    if row["kind"] == "gmconv":
        yield from _beside_peers(part, row, what)
    if row["batch"] < (_CIFAR_BATCH if small else _IMAGENET_BATCH):
        return
    limits = _STEM if stem else _SMALL if small else _NETWORK
    if stem and row["net"] != _STEM_NET:
        return
    if (limit := limits.get((row["kind"], row["task"]))) is None:
        return
    yield Verdict(what, "speed", row["ratio"], limit, row["ratio"] >= limit)
    if not stem:
        limit = _memory_limit(row, small)
        yield Verdict(what, "memory", row["memory_ratio"], limit, row["memory_ratio"] <= limit)


def _memory_limit(row: dict[str, Any], small: bool) -> float:
    if row["kind"] == "sgmconv fused":
        return 1.01
    if row["kind"] == "gmconv":
        return 1.15 if small else 1.10
    return 1.01 + row["masked_kernel_mib"] / row["peak_mib"]


def _beside_peers(part: dict[str, Any], row: dict[str, Any], what: str) -> Iterator[Verdict]:
    """GMConv's upper quartile must not lie below a peer's lower one."""
    same = ("net", "task", "batch", "memory_format")
    for peer in part["rows"]:
        if peer["kind"] in _PEERS and all(peer[key] == row[key] for key in same):
            value, limit = row["ratio_quartiles"][1], peer["ratio_quartiles"][0]
            yield Verdict(what, f"speed beside the {peer['kind']}", value, limit, value >= limit)
