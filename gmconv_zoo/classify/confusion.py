"""Which classes are taken for which: the confusion matrix, and a line per class."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..engine.records import write_csv

__all__ = ["class_table", "confusion_matrix", "write_confusion"]


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
