"""Classify image files: the most probable classes of each, with their names, as a table, as CSV and as JSON."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..device import usable_device
from ..files.records import write_csv, write_json
from ..images.pixels import UnreadableImageError
from ..layers.copying import unwrapped
from ..saving.label_names import best_classes, check_classifier, label_names
from ..visualize.images import check_several, network_input
from ..wording import printable

__all__ = ["ClassScore", "Prediction", "predict", "prediction_table", "write_predictions_csv", "write_predictions_json"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassScore:
    """One class of a prediction: index of the output, name (the index, where it has none) and softmax probability."""

    index: int
    label: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """The outcome for one image: its most probable classes, best first, or the reason why it cannot be read."""

    image: Path
    classes: tuple[ClassScore, ...] = ()
    error: str = ""


@torch.inference_mode()
def predict(
    model: nn.Module, images: Sequence[Path], *, topk: int = 5, batch_size: int = 32, device: str = "cpu"
) -> Iterator[Prediction]:
    """Classify image files with a network's own preprocessing, one batch in memory at a time.

    Args:
        model: a classifier of timm's interface, perhaps wrapped or compiled; it is moved to the device and put
            into eval mode.
        images: files.
        topk: classes to report per image, at most as many as there are.
        batch_size: images per forward pass.
        device: where to compute, e.g. "cuda".

    Yields:
        One prediction per image, in order. An image that cannot be read has an error instead of classes.

    Raises:
        ValueError: for a setting, a device or a network that cannot be used, or outputs that are not finite.
    """
    for name, option, value in (("topk", "--top", topk), ("batch_size", "--batch-size", batch_size)):
        if value < 1:
            raise ValueError(f"{name}={value}: pass at least 1 ({option}).")
    check_several(images)
    network = unwrapped(model)  # which has the configuration
    check_classifier(network)
    labels = label_names(network)
    model = model.to(usable_device(device)).eval()
    for start in range(0, len(images), batch_size):
        batch = [(path, *_read(network, path)) for path in images[start : start + batch_size]]
        tensors = [tensor for _, tensor, _ in batch if tensor is not None]
        scores = iter(model(torch.cat(tensors)).float().softmax(1).cpu() if tensors else ())
        for path, tensor, error in batch:
            best = () if tensor is None else best_classes(next(scores), labels, topk, image=str(path))
            yield Prediction(path, tuple(ClassScore(*found) for found in best), error)


def _read(model: nn.Module, path: Path) -> tuple[Tensor | None, str]:
    try:
        return network_input(model, [path]), ""
    except UnreadableImageError as error:
        _logger.warning("%s", error)
        return None, str(error.__cause__)  # without the path


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

    Bytes of names that are not UTF-8 are escaped.
    """
    lines: list[tuple[Any, ...]] = [("image", "rank", "index", "label", "probability", "error")]
    for prediction in predictions:
        if prediction.error:
            lines.append((prediction.image, "", "", "", "", prediction.error))
        for rank, score in enumerate(prediction.classes, start=1):
            lines.append((prediction.image, rank, score.index, score.label, score.probability, ""))
    write_csv(path, lines)


def write_predictions_json(predictions: Sequence[Prediction], path: str | Path) -> None:
    """Write a list with one object per image: image, classes (index, label, probability), error."""
    write_json(path, [{**asdict(prediction), "image": str(prediction.image)} for prediction in predictions])
