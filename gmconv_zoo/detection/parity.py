"""Settings in which torchvision and mmdetection, which the paper used, differ for the same detector."""

from dataclasses import dataclass
from typing import Any

__all__ = ["BATCH_NORMS", "HEADS", "Parity", "parity_of"]

HEADS = ("faster_rcnn", "cascade_rcnn")
BATCH_NORMS = ("frozen", "eval", "sync", "train")


@dataclass(frozen=True)
class Parity:
    """Details of a detector that its architecture leaves open.

    Attributes:
        sampling_ratio: samples per bin and side in RoIAlign; 0 takes as many as the bin has pixels.
        aligned: shift the boxes by half a pixel in RoIAlign.
        rpn_beta: point at which the smooth L1 loss of the region proposal network becomes linear; 0 is the L1 loss.
        box_beta: the same for the box heads.
        train_proposals: proposals per image that are kept for training.
        batch_norm: see `gmconv_zoo.detection.build`.
    """

    sampling_ratio: int = 2
    aligned: bool = False
    rpn_beta: float = 1 / 9
    box_beta: float = 1 / 9
    train_proposals: int = 2000
    batch_norm: str = "frozen"


# mmdetection's configurations faster_rcnn_r50_fpn and cascade_rcnn_r50_fpn differ in their losses and proposals.
_ADAPTIVE: dict[str, Any] = {"sampling_ratio": 0, "aligned": True, "batch_norm": "eval"}
_PARITIES = {
    ("torchvision", "faster_rcnn"): Parity(),
    ("torchvision", "cascade_rcnn"): Parity(),
    ("mmdet_paper", "faster_rcnn"): Parity(rpn_beta=0.0, box_beta=0.0, train_proposals=1000, **_ADAPTIVE),
    ("mmdet_paper", "cascade_rcnn"): Parity(rpn_beta=1 / 9, box_beta=1.0, train_proposals=2000, **_ADAPTIVE),
}


def parity_of(parity: str | Parity, head: str) -> Parity:
    """Return the settings that a name stands for with one kind of head; settings are returned as they are."""
    if head not in HEADS:
        raise ValueError(f"head={head!r}: pass one of {HEADS}.")
    if isinstance(parity, Parity):
        return parity
    if (parity, head) not in _PARITIES:
        names = tuple(dict.fromkeys(name for name, _ in _PARITIES))
        raise ValueError(f"parity={parity!r}: pass one of {names}, or a Parity(...).")
    return _PARITIES[parity, head]
