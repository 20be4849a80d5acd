"""Pictures of detections: boxes with their names and scores, predicted next to true."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..coco.file import CocoFile
from ..extras import needs_extra
from ..images.pixels import read_image
from .class_names import ClassLabels
from .figures import COLOURS, STYLES, save_figure
from .images import evenly

with needs_extra("train"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

__all__ = ["BoxedImage", "compared", "draw_boxes"]

_WIDTH, _WIDE = 3.2, 6.4  # inches of one image among others, and of a single one
_PAIRS = 2  # in one line
_SHOWN_SCORE = 0.5


@dataclass(frozen=True)
class BoxedImage:
    """An image and the boxes on it.

    Attributes:
        title: what the boxes are.
        pixels: (H, W, 3) uint8.
        boxes: x, y, width and height in pixels of each box.
        names: class of each box.
        scores: score of each box in [0, 1]; None for true boxes.
    """

    title: str
    pixels: np.ndarray[Any, Any]
    boxes: tuple[tuple[float, ...], ...]
    names: tuple[str, ...]
    scores: tuple[float, ...] | None = None

    @classmethod
    def detected(cls, title: str, pixels: Any, entries: Sequence[Mapping[str, Any]], names: Any) -> "BoxedImage":
        """Return an image with detections in COCO's result format, and the name of each category's id."""
        boxes = tuple(tuple(entry["bbox"]) for entry in entries)
        classes = tuple(names[entry["category_id"]] for entry in entries)
        return cls(title, pixels, boxes, classes, tuple(entry["score"] for entry in entries))


def compared(coco: CocoFile, detections: Sequence[Mapping[str, Any]], *, count: int) -> list[list[BoxedImage]]:
    """Return lines of a picture with two images each: true boxes and detections of the first, then of the second.

    Args:
        coco: annotations, read with the folder of the images.
        detections: in COCO's result format.
        count: number of images, spread evenly over those that have a box.
    """
    assert coco.root is not None
    having = set(coco.image_ids[~coco.crowd].tolist())
    images = [image for image in coco.images if image.id in having] or list(coco.images)
    found = []
    for image in evenly(images, count):
        pixels = np.asarray(read_image(coco.root / image.name, "RGB"))
        mine = (coco.image_ids == image.id) & ~coco.crowd
        truth = tuple(map(tuple, coco.bboxes[mine].tolist()))
        names = tuple(coco.categories[key] for key in coco.category_ids[mine].tolist())
        own = [entry for entry in detections if entry["image_id"] == image.id and entry["score"] >= _SHOWN_SCORE]
        detected = BoxedImage.detected(f"detected, score at least {_SHOWN_SCORE:g}", pixels, own, coco.categories)
        found.append([BoxedImage(f"{image.name}: true boxes", pixels, truth, names), detected])
    starts = range(0, len(found), _PAIRS)
    return [[boxed for pair in found[start : start + _PAIRS] for boxed in pair] for start in starts]


def draw_boxes(rows: Sequence[Sequence[BoxedImage]], path: str | Path, *, classes: Sequence[str]) -> Path:
    """Draw images with their boxes into one picture, and write the boxes as CSV next to it.

    Args:
        rows: images of each line of the picture; the last line may have fewer.
        path: file of the picture; existing files are replaced.
        classes: all classes, which decide the colours and styles of the boxes.
    """
    columns, width = len(rows[0]), _WIDE if len(rows[0]) == 1 else _WIDTH
    ratios = [max(boxed.pixels.shape[0] / boxed.pixels.shape[1] for boxed in row) for row in rows]
    heights = [width * min(max(ratio, 0.2), 1.4) for ratio in ratios]
    size = (width * columns, sum(heights) + 0.3 * len(heights))
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    labels = ClassLabels(classes)
    for line, row in zip(grid, rows, strict=True):
        for axes in line:
            axes.set_axis_off()
        for axes, boxed in zip(line, row, strict=False):
            _draw_image(axes, boxed, classes, labels)
    panels = [boxed for row in rows for boxed in row]
    table = [entry for number, boxed in enumerate(panels, 1) for entry in _entries(number, boxed)]
    return save_figure(figure, path, table or [{"image": ""}])


def _draw_image(axes: Axes, boxed: BoxedImage, classes: Sequence[str], labels: ClassLabels) -> None:
    axes.imshow(boxed.pixels)
    axes.set_title(boxed.title, loc="left", parse_math=False, fontsize=8)
    for place, ((x, y, width, height), name) in enumerate(zip(boxed.boxes, boxed.names, strict=True)):
        number = classes.index(name)
        colour, style = COLOURS[number % len(COLOURS)], STYLES[number // len(COLOURS) % len(STYLES)]
        # a white line below: colours are seen on any ground
        for edge, wide, dashes in (("white", 3.2, "-"), (colour, 1.8, style)):
            axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=edge, linewidth=wide, ls=dashes))
        text = labels.texts[number] if boxed.scores is None else f"{labels.texts[number]} {boxed.scores[place]:.2f}"
        frame = {"facecolor": "white", "edgecolor": colour, "alpha": 0.85, "pad": 1.2}
        above = y > 0.05 * boxed.pixels.shape[0]
        axes.text(
            *(x, y if above else y + height),
            text,
            va="bottom" if above else "top",
            bbox=frame,
            clip_on=True,
            **labels.style,
        )


def _entries(number: int, boxed: BoxedImage) -> list[dict[str, Any]]:
    """Return the rows of the table, with the image's place in the picture."""
    kind = "true" if boxed.scores is None else "detected"
    scores = boxed.scores or ("",) * len(boxed.boxes)
    return [
        {"image": number, "boxes": kind, "class": name, "score": score, "x": x, "y": y, "width": w, "height": h}
        for (x, y, w, h), name, score in zip(boxed.boxes, boxed.names, scores, strict=True)
    ]
