"""The masks of a network as they are now, and how to draw one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..engine.extras import needs_extra
from ..layers import DGMConv2d, SGMConv2d, elliptical_mask
from ..sigmas import sigmas

with needs_extra("train"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LayerMask", "draw_mask", "draw_masks", "layer_masks"]


@dataclass(frozen=True)
class LayerMask:
    """One layer's mask.

    Attributes:
        name: the layer's module name.
        horizontal, vertical: sigma in kernel taps; the same for a static layer, means over images for a dynamic one.
        kernel_size: (kH, kW) in taps.
        dynamic: whether the mask depends on the image.
    """

    name: str
    horizontal: float
    vertical: float
    kernel_size: tuple[int, int]
    dynamic: bool

    def values(self) -> Tensor:
        """The (kH, kW) mask in [0, 1]."""
        return elliptical_mask(torch.tensor([self.horizontal]), torch.tensor([self.vertical]), self.kernel_size)[0]

    def sigma_text(self) -> str:
        """Sigma as a short label for matplotlib: one number, or horizontal times vertical for a dynamic layer."""
        return rf"{self.horizontal:.1f}$\times${self.vertical:.1f}" if self.dynamic else f"{self.horizontal:.2f}"


def layer_masks(model: nn.Module, images: Tensor | None = None) -> list[LayerMask]:
    """The masks of all layers, in module order.

    Args:
        model: any network with Gaussian mask convolutions.
        images: (B, C, H, W) over which a dynamic layer's sigmas are averaged.

    Returns:
        One entry per mask convolution.

    Raises:
        ValueError: when there is no such layer, or a dynamic one and no images.
    """
    layers = {name: m for name, m in model.named_modules() if isinstance(m, (SGMConv2d, DGMConv2d))}
    if not layers:
        raise ValueError(f"{type(model).__name__} has no Gaussian mask convolution: convert it first.")
    if images is None and any(isinstance(module, DGMConv2d) for module in layers.values()):
        raise ValueError("this network has a dynamic layer, whose mask depends on the image: pass images (--images).")
    found = sigmas(model, images)
    masks = []
    for name, module in layers.items():
        mean = found[name].reshape(-1, found[name].shape[-1]).mean(0).tolist()
        size = (int(module.kernel_size[0]), int(module.kernel_size[1]))
        masks.append(LayerMask(name, mean[0], mean[-1], size, isinstance(module, DGMConv2d)))
    return masks


def draw_mask(axes: Axes, mask: Tensor, *, cmap: str = "viridis") -> None:
    """Draw one mask without ticks, dark for 0 and bright for 1.

    Args:
        axes: matplotlib axes to draw in.
        mask: (kH, kW) in [0, 1].
        cmap: matplotlib's name of a colour map.
    """
    axes.imshow(mask.numpy(), cmap=cmap, vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)


def draw_masks(masks: Sequence[LayerMask], path: str | Path) -> Path:
    """Write a picture of the masks of a network, each with the name and the sigma of its layer.

    Args:
        masks: from `layer_masks`.
        path: path of the picture; its ending chooses the format.

    Returns:
        The path.
    """
    columns = min(8, len(masks))
    rows = math.ceil(len(masks) / columns)
    figure = Figure(figsize=(1.6 * columns, 1.9 * rows), dpi=110, layout="constrained", facecolor="white")
    for place, mask in enumerate(masks, start=1):
        axes = figure.add_subplot(rows, columns, place)
        draw_mask(axes, mask.values())
        axes.set_title(f"{mask.name}\n{mask.sigma_text()}", fontsize=7)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path
