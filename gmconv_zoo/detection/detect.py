"""Find objects in image files with a trained detector."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torchvision.ops import box_convert
from torchvision.transforms.v2 import functional as F

from ..device import usable_device
from ..images.pixels import UnreadableImageError, read_image
from ..visualize.detections import BoxedImage
from ..wording import printable
from .build import categories_of

__all__ = ["Found", "detect", "detection_table"]


@dataclass(frozen=True)
class Found:
    """The detections in an image file, best first, or why it cannot be read.

    The entries are in COCO's result format, with "file_name" and "category" as well.
    """

    image: Path
    boxed: BoxedImage | None = None
    entries: tuple[dict[str, Any], ...] = ()
    error: str = ""


@torch.inference_mode()
def detect(detector: nn.Module, images: Sequence[Path], *, least: float = 0.5, device: str = "cpu") -> Iterator[Found]:
    """Find the objects in image files, one after the other, whose "image_id" is their place in the order, from 1.

    Args:
        detector: it is moved to the device and put into eval mode.
        least: lowest score of a detection, in [0, 1]; detectors give none below 0.05, and at most 100 of an image.

    Yields:
        One outcome per image, in order. An image that cannot be used has an error instead of detections.
    """
    if not 0 <= least <= 1:
        raise ValueError(f"least={least}: pass a score in [0, 1] (--score).")
    categories = [*categories_of(detector).items()]
    names = {key: name for name, key in categories}
    place = usable_device(device)
    detector = detector.to(place).eval()
    transform: Any = detector.transform
    most = transform.max_size
    for number, path in enumerate(images, start=1):
        try:
            image = read_image(path, "RGB")
            if min(image.size) * most <= max(image.size):  # the shorter side would be resized to less than a pixel
                raise UnreadableImageError(
                    f"{image.width}x{image.height} pixels: pass a larger --image-size for so thin an image"
                )
            (output,) = detector([F.to_dtype(F.to_image(image), scale=True).to(place)])
        except UnreadableImageError as error:
            yield Found(path, error=str(error))
            continue
        output = {key: value.cpu() for key, value in output.items()}
        boxes = box_convert(output["boxes"].double(), "xyxy", "xywh").tolist()
        entries = []
        for bbox, label, score in zip(boxes, output["labels"].tolist(), output["scores"].tolist(), strict=True):
            if score < least:
                continue
            name, key = categories[label - 1]
            known = {"image_id": number, "category_id": key, "bbox": bbox, "score": score}
            entries.append({**known, "file_name": str(path), "category": name})
        yield Found(path, BoxedImage.detected(path.name, np.asarray(image), entries, names), tuple(entries))


def detection_table(found: Found) -> str:
    """Return a line for each detection in an image, or one for an image without detections or that is unreadable."""
    image, lines = printable(str(found.image)), []
    if found.error:
        return f"{image}  unreadable: {printable(found.error)}"
    for entry in found.entries:
        x, y, width, height = entry["bbox"]
        place = f"x {x:.0f}, y {y:.0f}, width {width:.0f}, height {height:.0f}"
        lines.append(f"{image}  {100 * entry['score']:6.2f} %  {printable(entry['category'])}  {place}")
        image = " " * len(image)
    return "\n".join(lines) or f"{image}  nothing found"
