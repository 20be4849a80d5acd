"""Predictions as a table for the terminal, as CSV and as JSON."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from .predict import Prediction

__all__ = ["prediction_table", "write_predictions_csv", "write_predictions_json"]


def prediction_table(predictions: Sequence[Prediction]) -> str:
    """Return one line per image and class, or one line saying why an image could not be read."""
    lines = []
    for prediction in predictions:
        image = _on_one_line(str(prediction.image))
        if prediction.error:
            lines.append(f"{image}  unreadable: {_on_one_line(prediction.error)}")
        for score in prediction.classes:
            lines.append(f"{image}  {100 * score.probability:6.2f} %  {_on_one_line(score.label)}")
            image = " " * len(image)
    return "\n".join(lines)


def write_predictions_csv(predictions: Sequence[Prediction], path: str | Path) -> None:
    """Write one row per image and class: image, rank from 1, index, label, probability, error.

    Args:
        predictions: predictions from `predict`.
        path: file to write; its folder is created when missing. Bytes of names that are not UTF-8 are escaped.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("image", "rank", "index", "label", "probability", "error"))
        for prediction in predictions:
            if prediction.error:
                writer.writerow((prediction.image, "", "", "", "", prediction.error))
            for rank, score in enumerate(prediction.classes, start=1):
                writer.writerow((prediction.image, rank, score.index, score.label, score.probability, ""))


def write_predictions_json(predictions: Sequence[Prediction], path: str | Path) -> None:
    """Write a list with one object per image: image, classes (index, label, probability), error.

    Args:
        predictions: predictions from `predict`.
        path: file to write; its folder is created when missing.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    rows = [{**asdict(prediction), "image": str(prediction.image)} for prediction in predictions]
    Path(path).write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def _on_one_line(name: str) -> str:
    """Return a name with escapes for line breaks, control characters and bytes that are not UTF-8."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)
