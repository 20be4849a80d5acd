"""Read a COCO annotation file: its images, its boxes, and the classes that labels stand for."""

import json
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any
from unicodedata import normalize

import torch
from torch import Tensor

from ..wording import listed, printable

__all__ = ["CocoFile", "CocoImage", "read_coco", "read_results"]

_logger = logging.getLogger(__name__)

_LISTS = ("images", "annotations", "categories")
_ROUNDING = 1.0  # pixels beyond the image that are no mistake: tools round the corners of boxes


@dataclass(frozen=True)
class CocoImage:
    """One image, as the annotation file describes it: its path in the folder of images, and its size in pixels."""

    id: int
    name: str
    height: int
    width: int


@dataclass(frozen=True)
class CocoFile:
    """A checked annotation file.

    Attributes:
        path: the annotation file.
        root: folder of the images; None if only the annotations are read.
        classes: names of the labels 1 to N; 0 is the background.
        categories: names of the file's categories by id.
        images: all images, those without boxes included.
        image_ids, category_ids: (A,) int64 image and category of each annotation, sorted by image as in `images`.
        bboxes: (A, 4) float64 x, y, width and height in pixels, as in the file.
        boxes: (A, 4) float32 x1, y1, x2 and y2 in pixels, clipped to the image.
        areas: (A,) float64 in pixels, the object's where the file has it, otherwise the box's.
        crowd: (A,) bool, whether the box is around a crowd of objects.
        trained: (A,) bool, whether the box is a training target: not a crowd, and not empty.
    """

    path: Path
    root: Path | None
    classes: tuple[str, ...]
    categories: Mapping[int, str]
    images: tuple[CocoImage, ...]
    image_ids: Tensor
    category_ids: Tensor
    bboxes: Tensor
    boxes: Tensor
    areas: Tensor
    crowd: Tensor
    trained: Tensor

    @property
    def labels(self) -> dict[int, int]:
        """Return the labels, from 1 to N, of the file's categories by id."""
        return {key: self.classes.index(name) + 1 for key, name in self.categories.items()}


def read_coco(
    annotations: str | Path,
    folders: Sequence[Path] = (),
    *,
    classes: Sequence[str] | None = None,
    clip: bool = False,
) -> CocoFile:
    """Read a COCO annotation file and check everything that detection needs of it.

    Args:
        annotations: JSON file with the lists "images", "annotations" and "categories".
        folders: those that may hold the image files; the first that holds the first image is used. Without any, the
            annotations are read alone, for evaluation.
        classes: names of the labels 1 to N, e.g. those that a detector was trained with; by default the names of the
            file's categories in their order. For torchvision's COCO weights pass their names without the background.
        clip: clip boxes that reach more than 1 pixel beyond their image, and do not train on those of which nothing
            remains, instead of raising an error. Evaluation uses all boxes as they are in the file.

    Raises:
        ValueError: when the file is not a COCO annotation file, ids repeat or are unknown, a file name leads out of the
            folder, an image does not exist or is listed twice, or a box is not valid or not in pixels; it names up to
            five of them.
    """
    path = Path(annotations)
    content = _read_json(path)
    if not isinstance(content, dict) or not all(isinstance(content.get(kind), list) for kind in _LISTS):
        raise ValueError(
            f"{path} is not a COCO annotation file: it must hold a JSON object with the lists "
            f"{', '.join(map(repr, _LISTS))}. Pass a file of boxes, not one of results or captions."
        )
    categories, names = _categories(path, content, classes)
    described = tuple(
        CocoImage(entry["id"], entry["file_name"], entry["height"], entry["width"])
        for entry in _entries(path, content, "images", _image_fault)
    )
    if not described:
        raise ValueError(f"{path} lists no images: add the images that its annotations are of.")
    root = _root(path, folders, described) if folders else None
    known = {image.id: place for place, image in enumerate(described)}
    entries = _entries(path, content, "annotations", lambda entry: _box_fault(entry, known, categories))
    entries = sorted(entries, key=lambda entry: known[entry["image_id"]])
    bboxes = torch.tensor([entry["bbox"] for entry in entries], dtype=torch.float64).reshape(-1, 4)
    if len(bboxes) and bboxes.max() <= 1:
        raise ValueError(
            f"{path}: no number of any box is above 1, so they seem to be shares of the image: give x, y, width and "
            "height in pixels."
        )
    targets = Counter((entry["image_id"], entry["category_id"], *entry["bbox"]) for entry in entries)
    if repeated := len(entries) - len(targets):
        _logger.warning("%s: %d annotations repeat the image, category and box of another one", path, repeated)
    areas = [entry.get("area", entry["bbox"][2] * entry["bbox"][3]) for entry in entries]
    crowd = torch.tensor([bool(entry.get("iscrowd")) for entry in entries], dtype=torch.bool)
    boxes, left = _clipped(path, entries, bboxes, [described[known[entry["image_id"]]] for entry in entries], clip)
    return CocoFile(
        path=path,
        root=root,
        classes=names,
        categories=categories,
        images=described,
        image_ids=torch.tensor([entry["image_id"] for entry in entries], dtype=torch.int64),
        category_ids=torch.tensor([entry["category_id"] for entry in entries], dtype=torch.int64),
        bboxes=bboxes,
        boxes=boxes,
        areas=torch.tensor(areas, dtype=torch.float64),
        crowd=crowd,
        trained=left & ~crowd,
    )


def read_results(path: str | Path, coco: CocoFile) -> list[dict[str, Any]]:
    """Read predictions in COCO's result format: "image_id", "category_id", "bbox" (x, y, width, height) and "score".

    Args:
        path: JSON file with the list of predictions. If they have "file_name" and "category", as those of
            `gmconv detect`, these must agree with the ids.
        coco: annotations that the predictions are for.

    Raises:
        ValueError: when the file is not a result file, or is of other images or categories than the annotations.
    """
    found = _read_json(Path(path))
    if not isinstance(found, list):
        raise ValueError(f"{path} is not a COCO result file: it must hold a JSON list of predictions.")
    counts = Counter(PurePath(image.name).name for image in coco.images)
    names = ((image.id, PurePath(image.name)) for image in coco.images)
    images = {key: str(path) if counts[path.name] > 1 else path.name for key, path in names}
    faults = []
    for place, entry in enumerate(found):
        if not isinstance(entry, dict):
            faults.append(f"entry {place} is {_shown(entry)}, not an object")
        elif said := _box_fault(entry, images, coco.categories) or _result_fault(entry, images, coco.categories):
            faults.append(f"entry {place}: {said}")
    advice = " The image ids of gmconv detect are its own: to measure a detector, pass the model instead."
    _refuse(faults, f"{path}, for {coco.path},", "predictions", advice)
    return found


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror or error}): pass an existing JSON file.") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a JSON file ({error}): pass one in COCO's format.") from error


def _entries(path: Path, content: Any, kind: str, fault: Callable[[Any], str]) -> list[Any]:
    """Return the entries of one list of the file once all of them are found to be right."""
    entries = content[kind]
    ids = Counter(entry["id"] for entry in entries if isinstance(entry, dict) and _is_whole(entry.get("id")))
    faults = []
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict) or not _is_whole(entry.get("id")):
            faults.append(f"entry {place} is {_shown(entry)}, not an object with a whole number as its id")
        elif ids[entry["id"]] > 1:
            faults.append(f"the id {entry['id']} occurs {ids[entry['id']]} times")
        elif said := fault(entry):
            faults.append(f"id {entry['id']}: {said}")
    _refuse(list(dict.fromkeys(faults)), str(path), kind)
    return entries


def _refuse(faults: list[str], path: str, kind: str, advice: str = "") -> None:
    if faults:
        raise ValueError(
            f"{path} has mistakes in its {kind}, {len(faults)} in all: {listed(faults, separator='; ')}. "
            f"Correct or remove these entries.{advice}"
        )


def _categories(path: Path, content: Any, classes: Sequence[str] | None) -> tuple[dict[int, str], tuple[str, ...]]:
    """Return the names of the file's categories by id, and those of the labels."""
    entries = _entries(path, content, "categories", _category_fault)
    categories = {entry["id"]: entry["name"] for entry in entries}
    names = tuple(categories.values()) if classes is None else tuple(classes)
    if not categories or len({normalize("NFC", name).strip() for name in categories.values()}) < len(categories):
        raise ValueError(
            f"{path} has the categories {[*categories.values()]}: it needs at least one, and all names must differ, "
            "not by spaces around them alone."
        )
    if unknown := set(categories.values()) - set(names):
        raise ValueError(
            f"{path} has the categories {listed(unknown)}, but the {len(names)} classes are {listed(names)}: rename or "
            "remove these categories, or pass other classes."
        )
    return categories, names


def _category_fault(entry: Any) -> str:
    name = entry.get("name")
    return "" if isinstance(name, str) and name else f"the name is {_shown(name)}, not a text"


def _image_fault(entry: Any) -> str:
    name, height, width = (entry.get(key) for key in ("file_name", "height", "width"))
    if not isinstance(name, str) or not name:
        return f"file_name is {_shown(name)}, not a path in the folder of images"
    if ".." in re.split(r"[\\/]", name) or name[0] in "\\/" or Path(name).drive:
        return f"file_name {_shown(name)} leads out of the folder of images"
    if not (_is_whole(height) and _is_whole(width) and min(height, width) > 0):
        return f"height and width are {_shown(height)} and {_shown(width)}, not at least 1 pixel"
    return ""


def _box_fault(entry: Any, images: Container[int], categories: Mapping[int, str]) -> str:
    image, category, bbox = (entry.get(key) for key in ("image_id", "category_id", "bbox"))
    if not _is_whole(image) or image not in images:
        return f"image_id {_shown(image)} is not the id of an image"
    if not _is_whole(category) or category not in categories:
        return f"category_id {_shown(category)} is not a category ({listed([*map(str, categories)])})"
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_number, bbox)):
        return f"bbox is {_shown(bbox)}, not four finite numbers x, y, width, height"
    if "area" in entry and not (_is_number(entry["area"]) and entry["area"] >= 0):
        return f"area is {_shown(entry['area'])}, not a number of at least 0"
    if entry.get("iscrowd", 0) not in (0, 1):
        return f"iscrowd is {_shown(entry['iscrowd'])}, not 0 or 1"
    return ""


def _result_fault(entry: Any, images: Mapping[int, str], categories: Mapping[int, str]) -> str:
    """Say what is wrong with a prediction whose box is right: its score, or names that its ids do not stand for."""
    image, category = images[entry["image_id"]], categories[entry["category_id"]]
    if not _is_number(entry.get("score")):
        return f"score is {_shown(entry.get('score'))}, not a finite number"
    given = PurePath(str(entry.get("file_name", image))).parts
    # from the end, as far as both go: a path may have more folders in front, or fewer
    if not given or any(a != b for a, b in zip(reversed(given), reversed(PurePath(image).parts), strict=False)):
        return f"file_name is {_shown(entry['file_name'])}, but the image with the id {entry['image_id']} is {image}"
    if entry.get("category", category) != category:
        return f"category is {_shown(entry['category'])}, but the id {entry['category_id']} is {category}"
    return ""


def _is_whole(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**63


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 2**31  # false for NaN


def _shown(value: Any) -> str:
    text = printable(repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _root(path: Path, folders: Sequence[Path], images: Sequence[CocoImage]) -> Path:
    """Return the first folder that holds the first image, once it is found to hold all of them."""
    root = next((folder for folder in folders if os.path.isfile(folder / images[0].name)), None)
    if root is None:
        raise ValueError(
            f"{path} names {_shown(images[0].name)}, which does not exist in {', '.join(map(str, folders))}: put the "
            "images into one of these folders, or correct file_name."
        )
    if missing := [_shown(image.name) for image in images if not os.path.isfile(root / image.name)]:
        raise ValueError(
            f"{len(missing)} of the {len(images)} images that {path} names do not exist in {root}: {listed(missing)}. "
            "Pass the folder that holds them, or correct file_name."
        )
    counts = Counter(os.path.normpath(image.name) for image in images)
    if twice := [_shown(name) for name, count in counts.items() if count > 1]:
        raise ValueError(
            f"{path} lists {len(twice)} images more than once: {listed(twice)}. Each entry would be an image with only "
            "its own boxes: merge the entries of an image, and give their annotations its id."
        )
    return root


def _clipped(
    path: Path, entries: Sequence[Any], bboxes: Tensor, images: Sequence[CocoImage], clip: bool
) -> tuple[Tensor, Tensor]:
    """Return the boxes' corners inside of their images, and which boxes have an area there."""
    sizes = torch.tensor([(image.width, image.height) for image in images], dtype=torch.float64).reshape(-1, 2)
    corners = torch.cat([bboxes[:, :2], bboxes[:, :2] + bboxes[:, 2:]], dim=1)
    inside = corners.clamp(min=torch.zeros(()), max=sizes.repeat(1, 2))
    boxes = inside.float()
    left = (boxes[:, 2:] > boxes[:, :2]).all(1)
    bad = (~left | ((inside - corners).abs() > _ROUNDING).any(1)).nonzero().flatten().tolist()
    if bad:
        shown = [
            f"annotation {entries[i]['id']}, {entries[i]['bbox']} in {images[i].width}x{images[i].height}" for i in bad
        ]
        said = (
            f"{path}: {len(bad)} of {len(entries)} boxes (x, y, width, height) have no area or leave their image "
            f"(width x height): {listed(shown, separator='; ')}."
        )
        if not clip:
            raise ValueError(
                f"{said} Correct them, or pass clip=True (--clip-boxes) to clip them and leave out those without area."
            )
        _logger.warning("%s They are clipped, and %d without area are not trained on", said, int((~left).sum()))
    return boxes, left
