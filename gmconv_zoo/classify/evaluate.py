"""Count how a classifier does: top-1 and top-5 accuracy as exact integers, and which classes are taken for which."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..engine.records import write_csv

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["Score", "class_table", "confusion_matrix", "evaluate", "hits", "not_above_chance", "write_confusion"]


@dataclass(frozen=True)
class Score:
    """How many images were classified correctly.

    Attributes:
        count: images evaluated.
        top1: images whose label has the largest logit.
        top5: images whose label is among the five largest logits (of all, where there are fewer classes).
    """

    count: int
    top1: int
    top5: int

    @property
    def top1_percent(self) -> float:
        """Top-1 accuracy in percent."""
        return 100 * self.top1 / self.count

    @property
    def top5_percent(self) -> float:
        """Top-5 accuracy in percent."""
        return 100 * self.top5 / self.count

    def to_dict(self) -> dict[str, float]:
        """Counts and percentages, for records."""
        return {
            "count": self.count,
            "top1": self.top1,
            "top5": self.top5,
            "top1_percent": self.top1_percent,
            "top5_percent": self.top5_percent,
        }


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    loader: Iterable[tuple[Tensor, Tensor]],
    *,
    accelerator: "Accelerator | None" = None,
) -> Score:
    """Classify every image of a loader once, in eval mode.

    Args:
        model: maps (B, C, H, W) images to (B, classes) logits; its modules keep their train or eval mode.
        loader: yields (B, C, H, W) images and (B,) int64 labels; the last batch may be partial.
        accelerator: for several processes and mixed precision; model and loader must be prepared by it. Images
            that it repeats to fill the last batch are not counted.

    Returns:
        Counts over all processes. An image with a NaN among its logits counts as wrong.

    Raises:
        ValueError: when the loader is empty.
    """
    tensor = next(iter(model.parameters()), torch.empty(0))
    counts = torch.zeros(3, dtype=torch.int64, device=tensor.device)
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        for images, labels in loader:
            labels = labels.to(tensor.device)
            found = hits(model(images.to(tensor.device)), labels)
            if accelerator is not None:
                found = accelerator.gather_for_metrics(found)
            counts += found.sum(0)
    finally:
        for module, training in modes.items():
            module.training = training
    count, top1, top5 = counts.tolist()
    if not count:
        raise ValueError("the loader gave no images: pass one with at least one batch.")
    return Score(count, top1, top5)


def not_above_chance(score: Score, classes: int) -> str:
    """Return a warning for a score that guessing would reach; empty for a better score.

    Args:
        score: score of a classifier.
        classes: number of its outputs.
    """
    if classes < 2 or score.top1 * classes > score.count:
        return ""
    return f"{score.top1} of {score.count} images are correct, which is not above chance (1 in {classes})"


def hits(logits: Tensor, labels: Tensor) -> Tensor:
    """Which images of a batch are classified correctly.

    Args:
        logits: (B, classes); an image with a NaN among them counts as wrong.
        labels: (B,) int64.

    Returns:
        (B, 3) int64: one, whether the label is first, whether it is among the first five.
    """
    best = logits.topk(min(5, logits.shape[1]), dim=1).indices
    found = (best == labels.unsqueeze(1)) & ~logits.isnan().any(1, keepdim=True)
    return torch.stack([torch.ones_like(labels), found[:, 0].long(), found.any(1).long()], dim=1)


@torch.inference_mode()
def confusion_matrix(model: nn.Module, loader: Iterable[tuple[Tensor, Tensor]], classes: int) -> Tensor:
    """Count predictions.

    Args:
        model: maps (B, C, H, W) images to (B, classes) logits; put into eval mode.
        loader: yields images and labels.
        classes: how many there are.

    Returns:
        (classes, classes) int64: row of the true class, column of the predicted one.
    """
    device = next(model.parameters()).device
    model.eval()
    counts = torch.zeros(classes * classes, dtype=torch.int64)
    for images, labels in loader:
        predicted = model(images.to(device)).argmax(1).cpu()
        counts += torch.bincount(labels.cpu() * classes + predicted, minlength=classes * classes)
    return counts.view(classes, classes)


def class_table(matrix: Tensor, classes: Sequence[str], train_labels: Tensor) -> list[dict[str, Any]]:
    """One row per class; a percentage of nothing is None.

    Args:
        matrix: from `confusion_matrix`.
        classes: names.
        train_labels: (N,) of the images trained on.
    """
    trained = torch.bincount(train_labels, minlength=len(classes)).tolist()
    correct, actual, predicted = matrix.diagonal().tolist(), matrix.sum(1).tolist(), matrix.sum(0).tolist()
    return [
        {
            "class": name,
            "train_images": trained[i],
            "val_images": actual[i],
            "correct": correct[i],
            "recall_percent": _percent(correct[i], actual[i]),
            "precision_percent": _percent(correct[i], predicted[i]),
        }
        for i, name in enumerate(classes)
    ]


def write_confusion(matrix: Tensor, classes: Sequence[str], path: str | Path) -> None:
    """Write a matrix as CSV: a row per true class, a column per predicted one."""
    rows = zip(classes, matrix.tolist(), strict=True)
    write_csv(path, [("true \\ predicted", *classes), *((name, *row) for name, row in rows)])


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 2) if whole else None
