"""Draw the picture that explains the method: kernel times mask is the masked kernel.

Example:
    python -m reproduce.diagram --output docs/images/masks.png --overwrite
"""

import argparse
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from gmconv_zoo.cli.command import run
from gmconv_zoo.layers import elliptical_mask
from gmconv_zoo.saving.targets import check_target
from gmconv_zoo.visualize.figures import save_figure
from gmconv_zoo.visualize.masks import draw_mask

from . import ROOT

__all__ = ["draw_diagram"]

KERNEL_SIZE = (9, 9)
# Title, horizontal sigma, vertical sigma, in kernel taps
EXAMPLES = (
    (r"$\sigma = 4$", 4.0, 4.0),
    (r"$\sigma = 1.2$", 1.2, 1.2),
    (r"$\sigma_1 = 3, \;\sigma_2 = 1$", 3.0, 1.0),
    (r"$\sigma_1 = 1.2, \;\sigma_2 = 4$", 1.2, 4.0),
)
ROWS = ("kernel\n$W$", "$\\times$  mask\n$M(\\sigma)$", "=  masked\nkernel $W'$")


def draw_diagram(path: str | Path) -> Path:
    """Write the picture: a kernel under two circular (static) and two elliptical (dynamic) masks."""
    kernel = _example_kernel()
    figure = Figure(figsize=(8.6, 6.1), dpi=110, facecolor="white")
    grid = figure.add_gridspec(3, 4, left=0.15, right=0.985, top=0.845, bottom=0.02, hspace=0.1, wspace=0.1)
    for column, (title, horizontal, vertical) in enumerate(EXAMPLES):
        mask = elliptical_mask(torch.tensor([horizontal]), torch.tensor([vertical]), KERNEL_SIZE)[0]
        for line, picture in enumerate((kernel, mask, kernel * mask)):
            axes = figure.add_subplot(grid[line, column])
            draw_mask(axes, picture if line == 1 else 0.5 + 0.5 * picture, cmap="viridis" if line == 1 else "RdBu_r")
            if line == 0:
                axes.set_title(title, fontsize=12, pad=7)
            if column == 0:
                axes.set_ylabel(ROWS[line], fontsize=12, rotation=0, ha="center", va="center", labelpad=44)
    for x, name, meaning in (
        (0.355, "S-GMConv: circular", r"one learned $\sigma$ per layer, folded away after training"),
        (0.78, "D-GMConv: elliptical", r"$\sigma_1$ and $\sigma_2$ predicted for every image"),
    ):
        figure.text(x, 0.955, name, ha="center", fontsize=13, fontweight="bold")
        figure.text(x, 0.917, meaning, ha="center", fontsize=9, color="#4b5563")
    return save_figure(figure, path)


def _example_kernel() -> Tensor:
    """A (9, 9) kernel in [-1, 1]: an oriented wave with fixed noise, as first-layer kernels look."""
    size = KERNEL_SIZE[0]
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    noise = torch.randn(size, size, generator=torch.Generator().manual_seed(3))
    kernel = torch.cos(3.4 * (x + 0.6 * y)) + 0.25 * noise
    return kernel / kernel.abs().max()


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--output", default=ROOT / "docs" / "images" / "masks.png", help="picture to write (default: %(default)s)")
    add("--overwrite", action="store_true", help="replace a picture that exists")


def _main(args: argparse.Namespace) -> None:
    check_target(args.output, overwrite=args.overwrite)
    print(f"wrote {draw_diagram(args.output)}")


if __name__ == "__main__":
    run("python -m reproduce.diagram", __doc__, _add_options, _main)
