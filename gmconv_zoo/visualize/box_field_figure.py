"""Effective receptive fields of detectors at boxes in one figure: a row for each detector, a column for each size."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..extras import needs_extra
from .figures import save_figure
from .receptive_field import SHARES, ReceptiveField
from .receptive_field_figure import draw_field, field_row

with needs_extra("train"):
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

__all__ = ["BoxField", "draw_box_fields"]

_BOX = "#E69F00"


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


def draw_box_fields(fields: Mapping[str, Mapping[str, BoxField]], path: str | Path) -> Path:
    """Draw the fields of all detectors on one scale, with the mean box and the square that holds half of the gradient.

    Args:
        fields: by the name of the detector and the size of the boxes; at least one detector.
        path: file of the picture. Sides, area ratios and fitted sigmas are written next to it as CSV.
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
            axes.add_patch(Rectangle(corner, box.width, box.height, fill=False, edgecolor=_BOX, linewidth=2))
            axes.set_ylabel(name if column == 0 else "", parse_math=False)
            rows += [_row(name, size, box, share) for share in SHARES]
    figure.colorbar(picture, ax=grid, label="gradient, relative to the largest", shrink=0.5)
    return save_figure(figure, path, rows)


def _row(name: str, size: str, box: BoxField, share: float) -> dict[str, object]:
    row = {"boxes" if key == "images" else key: value for key, value in field_row(name, box.field, share).items()}
    return {"network": name, "size": size, "box_width_px": box.width, "box_height_px": box.height, **row}
