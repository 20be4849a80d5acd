"""Effective receptive fields in one figure: a network, and next to it for instance its standard twin."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..extras import needs_extra
from .figures import COLOURS, STYLES, plain_axes, save_figure
from .receptive_field import SHARES, ReceptiveField

with needs_extra("train"):
    from matplotlib.axes import Axes
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

__all__ = ["draw_field", "draw_receptive_fields", "field_row"]

_FAINTEST = 1e-4  # as a part of the largest gradient


def draw_receptive_fields(fields: Mapping[str, ReceptiveField], path: str | Path) -> Path:
    """Draw receptive fields side by side on one scale, with the share of the gradient in squares of growing size.

    Args:
        fields: each with the name of its network, at least one.
        path: file of the picture. Sides, area ratios and fitted sigmas are written next to it as CSV, and each map
            in a CSV file of its own, with "_map1", "_map2" and so on after the name.
    """
    figure = Figure(figsize=(3.5 * len(fields) + 4.4, 3.9), dpi=110, layout="constrained")
    *maps, curve = figure.subplots(1, len(fields) + 1, width_ratios=(*[1] * len(fields), 1.15))
    reach = max(field.side(0.99) for field in fields.values()) * 0.6 + 2
    rows = []
    for number, (name, field) in enumerate(fields.items()):
        shown = name.replace("$", r"\$")  # no formula
        axes, halves = maps[number], f"50 % in {field.side(0.5)} px, 99 % in {field.side(0.99)} px"
        title = f"{shown}\n{field.layer or 'output'}: {halves}"
        picture = draw_field(axes, field, reach=reach, title=title, shares={0.5: "-", 0.99: "--"})
        axes.set_xlabel("pixels from the centre")
        axes.set_ylabel("pixels from the centre" if number == 0 else "")
        sides = 2 * np.arange(len(field.held)) + 1
        look = {"color": COLOURS[number % len(COLOURS)], "linestyle": STYLES[number % len(STYLES)]}
        curve.plot(sides, 100 * field.held.numpy(), label=shown, **look)
        rows += [field_row(name, field, share) for share in SHARES]
    figure.colorbar(picture, ax=maps, label="gradient, relative to the largest", shrink=0.85)
    plain_axes(curve, x="side of the centred square in pixels", y="share of the gradient in %")
    curve.set_xlim(0, min(2 * reach, max(2 * len(field.held) for field in fields.values())))
    curve.set_ylim(0, 102)
    curve.legend(frameon=False, fontsize=8, loc="lower right")
    values_by_name = {f"map{number}": field.map for number, field in enumerate(fields.values(), start=1)}
    return save_figure(figure, path, rows, values_by_name)


def draw_field(axes: Axes, field: ReceptiveField, *, reach: float, title: str, shares: Mapping[float, str]) -> Any:
    """Draw one map, brighter for larger gradients, and the squares that hold shares of it; returns the picture.

    The field's centre is at 0, and so many pixels around it are shown; ``shares`` has the line style of each square.
    """
    (height, width), (row, column) = field.map.shape, field.centre
    left, top = -column - 0.5, -row - 0.5
    values = (field.map / field.map.max()).clamp(min=_FAINTEST).numpy()
    extent = (left, left + width, top + height, top)
    picture = axes.imshow(values, cmap="viridis", norm=LogNorm(_FAINTEST, 1), extent=extent)
    for share, style in shares.items():
        side = field.side(share)
        square = Rectangle((-side / 2, -side / 2), side, side, fill=False, edgecolor="white", linestyle=style)
        square.set_path_effects([withStroke(linewidth=2.6, foreground="black")])  # visible on any colour
        axes.add_patch(square)
    axes.set_xlim(max(left, -reach), min(left + width, reach))
    axes.set_ylim(min(top + height, reach), max(top, -reach))
    axes.set_title(title, fontsize=9)
    return picture


def field_row(name: str, field: ReceptiveField, share: float) -> dict[str, object]:
    """Return the numbers of a field and of one share of it, as a row of a table."""
    height, width = field.map.shape
    sigma_x, sigma_y = field.gaussian
    return {
        "network": name,
        "layer": field.layer,
        "images": field.images,
        "height_px": height,
        "width_px": width,
        "share": share,
        "side_px": field.side(share),
        "area_ratio": field.area_ratio(share),
        "sigma_x_px": sigma_x,
        "sigma_y_px": sigma_y,
        "cut_off": field.is_cut_off,
    }
