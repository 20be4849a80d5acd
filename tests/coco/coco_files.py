"""Small COCO annotation files."""

import copy
import json
from pathlib import Path

from PIL import Image

from gmconv_zoo.coco.file import CocoFile, read_coco

CONTENT = {
    "images": [
        {"id": 7, "file_name": "a.png", "height": 10, "width": 20},
        {"id": 3, "file_name": "sub/b.png", "height": 20, "width": 10},
        {"id": 9, "file_name": "c.png", "height": 1, "width": 1},
    ],
    "annotations": [
        {"id": 0, "image_id": 3, "category_id": 5, "bbox": [1, 2, 4, 6], "area": 12.5, "iscrowd": 0},
        {"id": 1, "image_id": 7, "category_id": 2, "bbox": [0, 0, 20, 10]},
        {"id": 2, "image_id": 7, "category_id": 5, "bbox": [2.5, 1, 4, 6], "iscrowd": 0},
        {"id": 4, "image_id": 7, "category_id": 5, "bbox": [10, 5, 10, 5], "iscrowd": 1},
    ],
    "categories": [{"id": 5, "name": "cat"}, {"id": 2, "name": "dog"}],
}


def content() -> dict:
    """Three images of which one is a single pixel without boxes; three boxes and one around a crowd."""
    return copy.deepcopy(CONTENT)


def write_coco(folder: Path, described: object = None) -> tuple[Path, Path]:
    """Write an annotation file and its images; returns the file and the folder."""
    root, file = folder / "images", folder / "boxes.json"
    (root / "sub").mkdir(parents=True, exist_ok=True)
    for image in CONTENT["images"]:
        picture = Image.new("RGB", (image["width"], image["height"]), (0, 0, 255))
        picture.putpixel((0, 0), (255, 0, 0))
        picture.save(root / image["file_name"])
    file.write_text(json.dumps(content() if described is None else described))
    return file, root


def read(file: Path, root: Path, **options) -> CocoFile:
    """Read an annotation file with the images in a folder."""
    return read_coco(file, [root], **options)
