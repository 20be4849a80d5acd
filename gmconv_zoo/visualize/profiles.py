"""How a mask is made: Gaussian profiles with and without normalisation (Fig. 3), and an elliptical mask (Fig. 4).

Each picture has its values next to it as CSV.
"""

from pathlib import Path

import torch

from ..extras import needs_extra
from ..layers import elliptical_mask
from .figures import COLOURS, STYLES, plain_axes, save_figure

with needs_extra("train"):
    from matplotlib.figure import Figure

__all__ = ["draw_construction", "draw_profiles"]

# Sigmas of the profiles, and taps on either side of the centre
_SIGMAS, _REACH = (0.5, 1.0, 2.0, 5.0), 5.0
# Sigmas and side of the elliptical mask in taps
_HORIZONTAL, _VERTICAL, _KERNEL = 3.0, 1.2, 11


def draw_profiles(path: str | Path) -> Path:
    """Draw Gaussian curves as Eq. 3 gives them, and divided by their largest value as in a mask (Eq. 4; Fig. 3)."""
    figure = Figure(figsize=(9, 3.4), dpi=110, layout="constrained")
    plain, normalised = figure.subplots(1, 2)
    distance = _REACH * torch.arange(-100, 101, dtype=torch.float64) / 100
    rows = []
    for number, sigma in enumerate(_SIGMAS):
        mask = torch.exp(-distance.square() / (2 * sigma**2))
        density = mask / (sigma * (2 * torch.pi) ** 0.5)
        look = {"color": COLOURS[number % len(COLOURS)], "linestyle": STYLES[number % len(STYLES)]}
        plain.plot(distance.numpy(), density.numpy(), label=rf"$\sigma$ = {sigma:g}", **look)
        normalised.plot(distance.numpy(), mask.numpy(), label=rf"$\sigma$ = {sigma:g}", **look)
        rows += [
            {"sigma": sigma, "distance": d, "density": f, "mask": m}
            for d, f, m in zip(distance.tolist(), density.tolist(), mask.tolist(), strict=True)
        ]
    x = "distance from the kernel's centre in taps"
    plain_axes(plain, x=x, y="density", title="Gaussian (Eq. 3): its height depends on sigma")
    plain_axes(normalised, x=x, y="mask value", title="mask (Eq. 4): 1 at the centre for every sigma")
    for axes in (plain, normalised):
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=8, loc="upper right")
    return save_figure(figure, path, rows)


def draw_construction(path: str | Path) -> Path:
    """Draw how an elliptical mask is the product of a horizontal and a vertical Gaussian (Eq. 5 and 6; Fig. 4)."""
    mask = elliptical_mask(torch.tensor([_HORIZONTAL]), torch.tensor([_VERTICAL]), (_KERNEL, _KERNEL))[0]
    across, down = mask.amax(0).tolist(), mask.amax(1).tolist()
    taps = [tap - (_KERNEL - 1) / 2 for tap in range(_KERNEL)]
    figure = Figure(figsize=(5.8, 5), dpi=110)
    grid = figure.add_gridspec(2, 3, width_ratios=(3, 1.2, 0.12), height_ratios=(1.2, 3), hspace=0.12, wspace=0.12)
    middle = figure.add_subplot(grid[1, 0])
    top, side = figure.add_subplot(grid[0, 0], sharex=middle), figure.add_subplot(grid[1, 1], sharey=middle)
    end = _KERNEL / 2
    picture = middle.imshow(
        mask.numpy(), vmin=0, vmax=1, extent=(-end, end, end, -end), aspect="auto", interpolation="nearest"
    )
    middle.set_xlabel("x in taps from the centre")
    middle.set_ylabel("y in taps from the centre")
    top.bar(taps, across, width=0.9, color=COLOURS[0])
    side.barh(taps, down, height=0.9, color=COLOURS[1])
    plain_axes(top, x="", y="value", title=rf"horizontal: $\sigma_1$ = {_HORIZONTAL:g} taps")
    plain_axes(side, x="value", y="", title=f"vertical:\n$\\sigma_2$ = {_VERTICAL:g} taps")
    top.tick_params(labelbottom=False)
    side.tick_params(labelleft=False)
    figure.colorbar(picture, cax=figure.add_subplot(grid[1, 2]), label="mask value: the product of both")
    rows = [
        {"x": taps[column], "y": taps[row], "horizontal": across[column], "vertical": down[row], "mask": value}
        for row, line in enumerate(mask.tolist())
        for column, value in enumerate(line)
    ]
    return save_figure(figure, path, rows)
