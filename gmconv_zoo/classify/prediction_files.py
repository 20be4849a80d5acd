"""Predictions as a table for the terminal, as CSV and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..engine.records import write_csv, write_json
from ..wording import printable
from .predict import Prediction

__all__ = ["prediction_table", "write_predictions_csv", "write_predictions_json"]


def prediction_table(predictions: Sequence[Prediction]) -> str:
    """Return one line per image and class, or one line saying why an image could not be read."""
    lines = []
    for prediction in predictions:
        image = printable(str(prediction.image))
        if prediction.error:
            lines.append(f"{image}  unreadable: {printable(prediction.error)}")
        for score in prediction.classes:
            lines.append(f"{image}  {100 * score.probability:6.2f} %  {printable(score.label)}")
            image = " " * len(image)
    return "\n".join(lines)


def write_predictions_csv(predictions: Sequence[Prediction], path: str | Path) -> None:
    """Write one row per image and class: image, rank from 1, index, label, probability, error.

    Args:
        predictions: as `predict` yields them.
        path: file to write; its folder is created when missing. Bytes of names that are not UTF-8 are escaped.
    """
    lines: list[tuple[Any, ...]] = [("image", "rank", "index", "label", "probability", "error")]
    for prediction in predictions:
        if prediction.error:
            lines.append((prediction.image, "", "", "", "", prediction.error))
        for rank, score in enumerate(prediction.classes, start=1):
            lines.append((prediction.image, rank, score.index, score.label, score.probability, ""))
    write_csv(path, lines)


def write_predictions_json(predictions: Sequence[Prediction], path: str | Path) -> None:
    """Write a list with one object per image: image, classes (index, label, probability), error.

    Args:
        predictions: as `predict` yields them.
        path: file to write; its folder is created when missing.
    """
    write_json(path, [{**asdict(prediction), "image": str(prediction.image)} for prediction in predictions])
