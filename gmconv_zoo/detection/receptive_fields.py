"""Effective receptive fields of detectors at small, medium and large objects (Fig. 8 of the paper)."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..coco.file import CocoFile
from ..coco.folder import read_split
from ..coco.images import CocoImages
from ..extras import needs_extra
from ..saving.named import open_model
from ..saving.targets import check_target
from ..visualize.figures import COLOURS, save_figure
from ..visualize.images import evenly
from ..visualize.receptive_field import SHARES, ReceptiveField, differentiable, rectified_gradient
from ..visualize.receptive_field_figure import draw_field, field_row
from ..wording import distinct
from .backbone import STRIDES
from .build import categories_of
from .heads import level_mapper

with needs_extra("train"):
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
    from tqdm import tqdm

__all__ = ["BoxField", "box_fields", "draw_fields_at_boxes"]

_logger = logging.getLogger(__name__)

# COCO's bounds of an object's area in pixels
_SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, math.inf)}
_FIRST_LEVEL = 2  # a level's stride is 2 to this power, and so on


@dataclass(frozen=True)
class BoxField:
    """The mean receptive field of a detector at boxes of one size.

    Attributes:
        field: its map is centred on the centres of the boxes, in pixels of the resized image; its layer names the
            levels of the pyramid, its images are the number of boxes.
        width, height: means of the boxes, in the same pixels.
    """

    field: ReceptiveField
    width: float
    height: float


def draw_fields_at_boxes(
    detectors: Sequence[str],
    data: str | Path,
    path: str | Path,
    *,
    clip: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> Path:
    """Draw the receptive fields of detectors at the boxes of a dataset: a row for each of them, a column for each size.

    The detectors are names that `open_model` takes. The split "val" of the data is used, see `read_split`. The numbers
    are written next to the picture as CSV.
    """
    check_target(path, overwrite=overwrite)
    coco = read_split(data, "val", clip=clip)
    fields: dict[str, dict[str, BoxField]] = {}
    for name in detectors:
        shown = Path(name).resolve().name if Path(name).exists() else name
        fields[distinct(shown, fields)] = box_fields(open_model(name), coco, progress=progress)
    return _draw(fields, path)


def box_fields(detector: nn.Module, coco: CocoFile, *, count: int = 16, progress: bool = False) -> dict[str, BoxField]:
    """Measure the effective receptive field of a detector at the centres of true boxes.

    A box is pooled from one level of the pyramid, which its size decides. The field is the rectified gradient of the
    sum over that level's channels, at the centre of the box, with respect to the resized image. The fields of boxes of
    one size are divided by their sums, laid over each other by the centres of their boxes, and averaged.

    Args:
        detector: it is run in eval mode, on its device, one image at a time.
        coco: annotations, read with the folder of the images.
        count: most boxes of each size, spread evenly over the file; at least 1.

    Returns:
        "small", "medium" and "large", by COCO's bounds of the area, without the sizes that the file has no box of.

    Raises:
        ValueError: for a network that is not a detector, or when no box has a gradient.
    """
    categories_of(detector)
    images = CocoImages(coco, without_boxes=False)
    chosen = {size: _chosen(images, bounds, count) for size, bounds in _SIZES.items()}
    if missing := [size for size, boxes in chosen.items() if not boxes]:
        _logger.warning("%s has no %s boxes: their fields are left out.", coco.path, " and no ".join(missing))
    found = {}
    bar = tqdm(total=sum(map(len, chosen.values())), desc="receptive fields", unit="box", disable=not progress)
    with differentiable(detector), bar:
        for size, boxes in chosen.items():
            parts = []
            for place, index in boxes:
                parts.append(_field_of_a_box(detector, images, place, index))
                bar.update()
            if parts := [part for part in parts if part[0].sum() > 0]:
                found[size] = _mean(parts)
    if not found:
        raise ValueError(f"{coco.path}: no gradient reaches the image from any of its boxes. Pass images with boxes.")
    return found


def _chosen(images: CocoImages, bounds: tuple[float, float], count: int) -> list[tuple[int, int]]:
    """Return the place of the image and of the box in it, for boxes of one size."""
    fitting = [
        (place, index)
        for place, image in enumerate(images.indices)
        for index, area in enumerate(images.areas[images.starts[image] : images.starts[image + 1]].tolist())
        if bounds[0] <= area < bounds[1]
    ]
    return evenly(fitting, count)


def _field_of_a_box(
    detector: Any, images: CocoImages, place: int, index: int
) -> tuple[Tensor, tuple[int, int], tuple[float, float], int]:
    """Return the map, the centre's column and row in it, width and height of the box, and the level."""
    image, target = images[place]
    device = next(detector.parameters()).device
    described = [{"boxes": target["boxes"][index : index + 1].to(device), "labels": target["labels"][:1].to(device)}]
    resized, targets = detector.transform([image.to(device)], described)
    box = targets[0]["boxes"]
    left, top, right, bottom = box[0].tolist()
    height, width = resized.image_sizes[0]
    column, row = min(int((left + right) / 2), width - 1), min(int((top + bottom) / 2), height - 1)
    level = int(level_mapper()([box])[0])
    pixels, stride = resized.tensors.detach().requires_grad_(), STRIDES[level]
    feature = detector.backbone(pixels)[str(level)]
    # the output at i looks at the pixels around i * stride
    i, j = min(round(row / stride), feature.shape[2] - 1), min(round(column / stride), feature.shape[3] - 1)
    return (
        rectified_gradient(feature[0, :, i, j].sum(), pixels)[:height, :width],
        (column, row),
        (right - left, bottom - top),
        level,
    )


def _mean(parts: list[tuple[Tensor, tuple[int, int], tuple[float, float], int]]) -> BoxField:
    reach = max(max(field.shape) for field, *_ in parts)
    total = torch.zeros(2 * reach + 1, 2 * reach + 1, dtype=torch.float64)
    for field, (column, row), *_ in parts:
        height, width = field.shape
        total[reach - row : reach - row + height, reach - column : reach - column + width] += field / field.sum()
    levels = ", ".join(f"P{level + _FIRST_LEVEL}" for level in sorted({level for *_, level in parts}))
    sides = np.mean([size for *_, size, _ in parts], axis=0)
    return BoxField(ReceptiveField(levels, len(parts), total / len(parts)), float(sides[0]), float(sides[1]))


def _draw(fields: Mapping[str, Mapping[str, BoxField]], path: str | Path) -> Path:
    """Draw the fields of all detectors on one scale, with the mean box and the square that holds half of the gradient.

    They are given by the name of the detector and the size of the boxes.
    """
    sizes = list(dict.fromkeys(size for found in fields.values() for size in found))
    figure = Figure(figsize=(3.1 * len(sizes) + 0.9, 3.2 * len(fields)), dpi=110, layout="constrained")
    grid = figure.subplots(len(fields), len(sizes), squeeze=False)
    rows = []
    for column, size in enumerate(sizes):
        there = {name: found[size] for name, found in fields.items() if size in found}
        reach = max(max(box.field.side(0.5), box.width, box.height) for box in there.values())
        for line, name in zip(grid, fields, strict=True):
            axes = line[column]
            if name not in there:
                axes.set_axis_off()
                continue
            box = there[name]
            title = f"{size}, {box.field.layer}: 50 % in {box.field.side(0.5)} px"
            picture = draw_field(axes, box.field, reach=reach, title=title, shares={0.5: "-"})
            corner = (-box.width / 2, -box.height / 2)
            axes.add_patch(Rectangle(corner, box.width, box.height, fill=False, edgecolor=COLOURS[5], linewidth=2))
            axes.set_ylabel(name if column == 0 else "", parse_math=False)
            sides = {"box_width_px": box.width, "box_height_px": box.height}
            for share in SHARES:
                values = field_row(name, box.field, share).items()
                row = {"boxes" if key == "images" else key: value for key, value in values}
                rows.append({"network": name, "size": size, **sides, **row})
    figure.colorbar(picture, ax=grid, label="gradient, relative to the largest", shrink=0.5)
    return save_figure(figure, path, rows)
