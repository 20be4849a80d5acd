"""The masks of a network as they are now, and how to draw one."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..conversion import conversion_report
from ..extras import needs_extra
from ..layers import elliptical_mask
from ..layers.copying import unwrapped
from ..sigmas import sigmas

with needs_extra("train"):
    from matplotlib.axes import Axes

__all__ = [
    "MOST_LAYERS",
    "LayerMask",
    "describe_layers",
    "draw_mask",
    "effective_size",
    "layer_masks",
    "short_name",
    "stage_masks",
]

# More layers than this are thinned out evenly: their masks would be too small to see.
MOST_LAYERS = 24


@dataclass(frozen=True)
class LayerMask:
    """One layer's mask.

    Attributes:
        name: the layer's module name.
        horizontal, vertical: sigma in kernel taps; the same for a static layer, means over images for a dynamic one.
        kernel_size: (kH, kW) in taps.
        dynamic: whether the mask depends on the image.
        stage: "stem", "stage 1" and so on; empty where the network has no known stages.
        samples: (B, 2) horizontal and vertical sigma for every image; B is 1 for a static layer.
    """

    name: str
    horizontal: float
    vertical: float
    kernel_size: tuple[int, int]
    dynamic: bool
    stage: str = ""
    samples: Tensor = field(default_factory=lambda: torch.empty(0, 2), compare=False, repr=False)

    def values(self) -> Tensor:
        """The (kH, kW) mask in [0, 1]."""
        return elliptical_mask(torch.tensor([self.horizontal]), torch.tensor([self.vertical]), self.kernel_size)[0]

    def sigma_text(self) -> str:
        """Sigma as a short label for matplotlib: one number, or horizontal times vertical for a dynamic layer."""
        return rf"{self.horizontal:.1f}$\times${self.vertical:.1f}" if self.dynamic else f"{self.horizontal:.2f}"


def layer_masks(model: nn.Module, images: Tensor | None = None, *, static_only: bool = False) -> list[LayerMask]:
    """Return the masks of all layers, in module order.

    The sigmas of dynamic layers are averaged over (B, C, H, W) images; with ``static_only`` these layers are left out,
    and there may be no other.

    Raises:
        ValueError: when there is no such layer, or a dynamic one and no images.
    """
    model = unwrapped(model)
    layers = describe_layers(model)
    if not layers:
        raise ValueError(f"{type(model).__name__} has no Gaussian mask convolution: convert it first.")
    if static_only:
        layers = {name: layer for name, layer in layers.items() if not layer[1]}
    if images is None and any(dynamic for _, dynamic, _ in layers.values()):
        raise ValueError("this network has a dynamic layer, whose mask depends on the image: pass images (--images).")
    found, masks = sigmas(model, images), []
    for name, layer in layers.items():
        samples = found[name].reshape(-1, found[name].shape[-1]).expand(-1, 2)
        horizontal, vertical = samples.mean(0).tolist()
        masks.append(LayerMask(name, horizontal, vertical, *layer, samples))
    return masks


def describe_layers(model: nn.Module) -> dict[str, tuple[tuple[int, int], bool, str]]:
    """Return the kernel size, whether it is dynamic, and the stage of every mask convolution by its module name."""
    once, described = dict(model.named_modules()), {}  # which has a layer of several names under one of them
    for row in conversion_report(model):
        if row.target and row.name in once:
            height, width = row.kernel
            stage = "stem" if row.is_stem else "" if row.stage is None else f"stage {row.stage}"
            described[row.name] = ((height, width), row.target == "dynamic", stage)
    return described


def stage_masks(masks: list[LayerMask]) -> dict[tuple[str, tuple[int, int]], Tensor]:
    """Return the (kH, kW) mean mask of each stage, apart for kernels of different size (Fig. 7).

    The keys are stage and kernel size, in the order of the layers.
    """
    groups: dict[tuple[str, tuple[int, int]], list[Tensor]] = {}
    for mask in masks:
        groups.setdefault((mask.stage, mask.kernel_size), []).append(mask.values())
    return {key: torch.stack(values).mean(0) for key, values in groups.items()}


def effective_size(mask: Tensor, share: float) -> float:
    """Return the side in taps of the centred square that holds a share of the sum of a (kH, kW) mask.

    A tap's value is spread evenly over a square of one tap's width: a flat 3x3 mask holds half of its sum in a square
    of 3 * 0.5 ** 0.5 = 2.12 taps.
    """
    values, low, high = mask.double(), 0.0, float(max(mask.shape))
    for _ in range(40):
        side = (low + high) / 2
        rows, columns = (_overlap(size, side) for size in mask.shape)
        held = rows @ values @ columns >= share * values.sum()
        low, high = (low, side) if held else (side, high)
    return high


def draw_mask(axes: Axes, mask: Tensor, *, cmap: str = "viridis") -> None:
    """Draw one (kH, kW) mask without ticks, dark for 0 and bright for 1."""
    axes.imshow(mask.numpy(), cmap=cmap, vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def short_name(name: str) -> str:
    """ "layer1.0.conv2" on two lines, "layer1.0" and "conv2"; long names keep their last two parts."""
    parts = name.split(".")
    return "\n".join([".".join(parts[:-1][-2:]).replace("layer", "L"), parts[-1]]).strip() or "layer"


def _overlap(size: int, side: float) -> Tensor:
    """(size,) share of each tap's width that lies in a centred interval."""
    offsets = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    return ((offsets + 0.5).clamp(max=side / 2) - (offsets - 0.5).clamp(min=-side / 2)).clamp(min=0)
