"""Generated images of circles, squares and triangles with a COCO annotation file, to try a detector."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ..files.records import write_json

__all__ = ["SHAPES", "write_shapes"]

SHAPES = ("circle", "square", "triangle")


def write_shapes(
    folder: str | Path,
    split: str = "train",
    *,
    images: int = 12,
    size: int = 128,
    smallest: int | None = None,
    seed: int = 0,
) -> tuple[Path, Path]:
    """Write images with one to three shapes in random colours on noise, in COCO's layout.

    Args:
        images: number of images; every other one is higher than wide.
        size: longer side of the images in pixels; the shorter one is three quarters of it.
        smallest: side of the smallest shape in pixels; None for an eighth of the size. The largest is a third of it.
        seed: seed of the images; other splits need another one.

    Returns:
        The annotation file and the folder of the images.
    """
    random = np.random.default_rng(seed)
    root, file = Path(folder) / split, Path(folder) / "annotations" / f"instances_{split}.json"
    for path in (root, file.parent):
        path.mkdir(parents=True, exist_ok=True)
    listed: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(1, images + 1):
        width, height = (size, size * 3 // 4) if number % 2 else (size * 3 // 4, size)
        image = Image.fromarray(random.integers(96, 160, (height, width, 3), dtype=np.uint8))
        boxes: list[tuple[int, int, int]] = []
        for _ in range(random.integers(1, 4)):
            side = int(random.integers(size // 8 if smallest is None else smallest, size // 3 + 1))
            x, y = int(random.integers(width - side + 1)), int(random.integers(height - side + 1))
            if any(x < a + s and a < x + side and y < b + s and b < y + side for a, b, s in boxes):
                continue  # shapes do not cover each other
            kind = int(random.integers(len(SHAPES)))
            boxes.append((x, y, side))
            _draw(image, SHAPES[kind], x, y, side, tuple(random.choice([0, 40, 215, 255], 3).tolist()))
            box = {"bbox": [x, y, side, side], "area": side * side, "iscrowd": 0}
            annotations.append({"id": len(annotations) + 1, "image_id": number, "category_id": kind + 1, **box})
        name = f"{number:06}.png"
        image.save(root / name)
        listed.append({"id": number, "file_name": name, "height": height, "width": width})
    categories = [{"id": number, "name": name} for number, name in enumerate(SHAPES, 1)]
    write_json(file, {"images": listed, "annotations": annotations, "categories": categories})
    return file, root


def _draw(image: Image.Image, shape: str, x: int, y: int, side: int, colour: tuple[int, ...]) -> None:
    draw, right, bottom = ImageDraw.Draw(image), x + side - 1, y + side - 1
    if shape == "circle":
        draw.ellipse([x, y, right, bottom], fill=colour)
    elif shape == "square":
        draw.rectangle([x, y, right, bottom], fill=colour)
    else:
        draw.polygon([(x, bottom), (right, bottom), (x + side // 2, y)], fill=colour)
