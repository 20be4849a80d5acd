"""Use a trained detector: measure it on a dataset, and find objects in image files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torchvision.transforms.v2 import functional as F

from ..data.coco import CocoFile
from ..data.coco_images import CocoImages, coco_loader
from ..data.pixels import UnreadableImageError, naming_unreadable, read_image
from ..engine.evaluate import evaluate
from ..engine.extras import needs_extra
from ..visualize.detections import BoxedImage
from .build import categories_of
from .evaluate import CocoEvaluator
from .train import image_sizes

with needs_extra("train"):
    from accelerate import Accelerator

__all__ = ["Found", "detect", "evaluate_detector", "resize_to"]


@dataclass(frozen=True)
class Found:
    """The outcome for one image.

    Attributes:
        image: its path.
        boxed: the image with its detections, best first; None if it cannot be read.
        entries: the detections in COCO's result format, with "file_name" and "category" as well.
        error: why the image cannot be read; empty otherwise.
    """

    image: Path
    boxed: BoxedImage | None = None
    entries: tuple[dict[str, Any], ...] = ()
    error: str = ""


def resize_to(detector: Any, side: int | None) -> None:
    """Let a detector resize the shorter side of its images to so many pixels; None keeps its own size.

    Raises:
        ValueError: for a network that is not a detector, or a side below 1.
    """
    categories_of(detector)
    if sizes := image_sizes(side):
        detector.transform.min_size, detector.transform.max_size = (sizes["min_size"],), sizes["max_size"]


def evaluate_detector(
    detector: nn.Module,
    coco: CocoFile,
    *,
    accelerator: Accelerator,
    batch_size: int = 1,
    workers: int | None = None,
    progress: bool = False,
) -> CocoEvaluator:
    """Run a detector on every image of an annotation file.

    Args:
        detector: its labels are those of the file's classes.
        coco: annotations, read with the folder of the images and the detector's classes.
        accelerator: device, precision and processes, see `default_accelerator`.
        batch_size: images per forward pass of each process. With more than 1, images are padded to the largest of their
            batch, which changes detections slightly.
        workers: loader processes of each process; None for a number that suits the machine.
        progress: whether to show a progress bar.

    Returns:
        The evaluator, which has the result and the detections.

    Raises:
        ValueError: when the number of classes differs, or an image cannot be read.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: pass at least 1 (--batch-size).")
    evaluator = CocoEvaluator(coco)
    batch = batch_size * accelerator.num_processes
    loader = accelerator.prepare(coco_loader(CocoImages(coco), batch, workers=workers))
    bar = "evaluating" if progress else ""
    with naming_unreadable("Repair it, or remove it from the annotations."), accelerator.autocast():
        evaluate(detector.to(accelerator.device), loader, evaluator, accelerator=accelerator, progress=bar)
    return evaluator


@torch.inference_mode()
def detect(detector: nn.Module, images: Sequence[Path], *, least: float = 0.5, device: str = "cpu") -> Iterator[Found]:
    """Find the objects in image files, one after the other.

    Args:
        detector: it is moved to the device and put into eval mode.
        images: files, whose "image_id" is their place in the order, from 1.
        least: lowest score of a detection, in [0, 1].
        device: where to compute, e.g. "cuda".

    Yields:
        One outcome per image, in order. An image that cannot be read has an error instead of detections.

    Raises:
        ValueError: for a score outside [0, 1], or a network that is not a detector.
    """
    if not 0 <= least <= 1:
        raise ValueError(f"least={least}: pass a score in [0, 1] (--score).")
    categories = [*categories_of(detector).items()]
    detector = detector.to(device).eval()
    for number, path in enumerate(images, start=1):
        try:
            image = read_image(path, "RGB")
        except UnreadableImageError as error:
            yield Found(path, error=str(error))
            continue
        output = {
            key: value.cpu() for key, value in detector([F.to_dtype(F.to_image(image), scale=True).to(device)])[0].items()
        }
        kept = output["scores"] >= least
        corners = output["boxes"][kept].double()
        boxes = torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], dim=1).tolist()
        entries = []
        for bbox, label, score in zip(boxes, output["labels"][kept].tolist(), output["scores"][kept].tolist(), strict=True):
            name, key = categories[label - 1]
            known = {"image_id": number, "category_id": key, "bbox": bbox, "score": score}
            entries.append({**known, "file_name": str(path), "category": name})
        boxed = BoxedImage(
            path.name,
            np.asarray(image),
            tuple(map(tuple, boxes)),
            tuple(entry["category"] for entry in entries),
            tuple(entry["score"] for entry in entries),
        )
        yield Found(path, boxed, tuple(entries))
