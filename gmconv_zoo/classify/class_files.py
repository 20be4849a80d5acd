"""What a run says of each class: the confusion matrix and accuracy by class, as CSV files and as pictures."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..files.records import read_rows, write_csv
from ..visualize.classes import draw_class_table, draw_confusion

__all__ = ["class_table", "draw_class_files", "write_class_files"]

_CONFUSION, _CLASSES = "confusion.csv", "classes.csv"


def class_table(matrix: Tensor, classes: Sequence[str], train_labels: Tensor) -> list[dict[str, Any]]:
    """Return one row per class; a percentage of nothing is None.

    The matrix is that of `Answers.confusion`, the labels (N,) are those of the training images.
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


def write_class_files(matrix: Tensor, classes: Sequence[str], train_labels: Tensor, output: Path) -> None:
    """Write confusion.csv, a row per true class and a column per predicted one, and classes.csv, see `class_table`."""
    rows = zip(classes, matrix.tolist(), strict=True)
    write_csv(output / _CONFUSION, [("true \\ predicted", *classes), *((name, *row) for name, row in rows)])
    table = class_table(matrix, classes, train_labels)
    write_csv(output / _CLASSES, [list(table[0]), *(row.values() for row in table)])


def draw_class_files(output: Path, classes: Sequence[str]) -> None:
    """Draw what `write_class_files` wrote for these classes: confusion.png and classes.png."""
    with (output / _CONFUSION).open(newline="", encoding="utf-8") as file:
        _, *rows = csv.reader(file)
    draw_confusion([[int(count) for count in row[1:]] for row in rows], classes, output / "confusion.png")
    table = [
        {**row, "class": name, "recall_percent": float(row["recall_percent"] or 0)}
        for row, name in zip(read_rows(output / _CLASSES), classes, strict=True)
    ]
    draw_class_table(table, output / "classes.png")


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 2) if whole else None
