"""The effective receptive field of a layer (Luo et al. 2016; Fig. 8 of the paper): which input pixels its centre uses.

It is the gradient of the summed centre outputs with respect to the input, rectified, summed over channels and averaged
over images, as in RepLKNet (arXiv 2203.06717).
"""

import difflib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..conversion.stages import convolutions, stages_of
from ..extras import needs_extra
from ..layers import DGMConv2d
from ..layers.copying import unwrapped
from ..sigmas import eval_mode

with needs_extra("train"):
    from scipy.optimize import curve_fit
    from tqdm import tqdm

__all__ = ["SHARES", "ReceptiveField", "differentiable", "receptive_field", "rectified_gradient", "target_layer"]

# The shares of the gradient that RepLKNet reports.
SHARES = (0.2, 0.3, 0.5, 0.99)


@dataclass(frozen=True)
class ReceptiveField:
    """The effective receptive field of one layer.

    Attributes:
        layer: the module's name; empty for the network's own output.
        images: number of images that it is averaged over.
        map: (H, W) mean rectified gradient of each input pixel, in float64; its sum is above 0.
        looks_at: row and column of the pixel that the layer's centre looks at; None for the middle of the map.
    """

    layer: str
    images: int
    map: Tensor
    looks_at: tuple[int, int] | None = None

    @property
    def centre(self) -> tuple[int, int]:
        """Row and column of the pixel around which squares are laid."""
        height, width = self.map.shape
        return self.looks_at or (height // 2, width // 2)

    @cached_property
    def held(self) -> Tensor:
        """The share of the gradient inside the centred squares of 1, 3, 5, ... pixels, in [0, 1]."""
        rows, columns = (
            (torch.arange(size) - middle).abs() for size, middle in zip(self.map.shape, self.centre, strict=True)
        )
        rings = torch.maximum(rows.unsqueeze(1), columns).flatten()
        return torch.bincount(rings, self.map.flatten()).cumsum(0) / self.map.sum()

    def side(self, share: float) -> int:
        """Return the side in pixels of the smallest centred square that contains a share of the gradient, in (0, 1]."""
        return min(self._square(share), max(self.map.shape))

    def area_ratio(self, share: float) -> float:
        """Return the part of the image that this square covers, in (0, 1]."""
        reach = self._square(share) // 2
        covered = [
            min(size, middle + reach + 1) - max(0, middle - reach)
            for size, middle in zip(self.map.shape, self.centre, strict=True)
        ]
        return math.prod(covered) / self.map.numel()

    @property
    def is_cut_off(self) -> bool:
        """Whether the square of 99 % reaches the image's edge, so that a larger image may show a larger field."""
        edges = (min(middle, size - 1 - middle) for size, middle in zip(self.map.shape, self.centre, strict=True))
        return self._square(0.99) // 2 >= min(edges)

    @cached_property
    def gaussian(self) -> tuple[float, float]:
        """Horizontal and vertical sigma in pixels of the Gaussian fitted to the map; nan where none can be fitted."""
        return _fit_gaussian(self.map.numpy(), self.side(0.5))

    def _square(self, share: float) -> int:
        if not 0 < share <= 1:
            raise ValueError(f"share={share}: pass a share of the gradient above 0 and at most 1, e.g. 0.5.")
        return 2 * int((self.held < share - 1e-9).sum()) + 1


def receptive_field(
    model: nn.Module,
    images: Tensor,
    *,
    layer: str | int | None = None,
    through_sigma: bool = False,
    batch_size: int = 8,
    progress: bool = False,
) -> ReceptiveField:
    """Measure the effective receptive field of a layer in any network, with Gaussian masks or without.

    Args:
        model: any network; it is run in eval mode, and its mode is restored.
        images: (B, C, H, W) preprocessed images of one size, in the network's dtype. They may be smaller than the
            receptive field, which is then cut off at their edges.
        layer: a module's name, a stage counted from 1, or None for the last stage.
        through_sigma: whether the gradient also runs through the sigmas of dynamic layers. A sigma is made of the
            whole image, so that every pixel then gets a gradient; by default sigmas count as constants.
        batch_size: images per forward pass.
        progress: whether to show a progress bar.

    Returns:
        The map with its sides, area ratios and fitted Gaussian.

    Raises:
        ValueError: for images or a layer that the network does not have, or when no gradient reaches the input.
    """
    if not isinstance(images, Tensor):
        raise ValueError(f"images: expected a float tensor (B, C, H, W), received a {type(images).__name__}.")
    if images.ndim != 4 or not images.numel() or not images.is_floating_point():
        raise ValueError(f"images: expected a float tensor (B, C, H, W), received {images.dtype} {list(images.shape)}.")
    model = unwrapped(model)  # torch.compile ignores hooks that a network gets later
    name, module = target_layer(model, layer)
    device = next((tensor.device for tensor in model.parameters()), images.device)
    seen: list[tuple[Tensor, tuple[int, int]]] = []

    def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
        # Taken inside the hook: a later layer may change the output in place.
        seen[:] = [_centre(output, images.shape[2:], name)]

    handle = module.register_forward_hook(keep)
    try:
        with differentiable(model, through_sigma=through_sigma):
            total = torch.zeros(images.shape[2:], dtype=torch.float64)
            for batch in tqdm(images.split(batch_size), desc="receptive field", unit="batch", disable=not progress):
                x = batch.detach().clone().to(device).requires_grad_()
                seen.clear()
                model(x)
                if not seen:
                    raise ValueError(f"layer={name!r} does not run when the network is called: choose another layer.")
                centre, outputs = seen[0]
                total += rectified_gradient(centre, x)
    finally:
        handle.remove()
    if not total.sum() > 0 or not total.isfinite().all():
        raise ValueError(
            f"layer={name!r}: no positive, finite gradient reaches the input. Choose another layer or other images, "
            "and check that the network's weights are finite."
        )
    row, column = (_looked_at(total.sum(1 - axis), outputs[axis]) for axis in (0, 1))
    return ReceptiveField(name, len(images), total / len(images), (row, column))


@contextmanager
def differentiable(model: nn.Module, *, through_sigma: bool = False) -> Iterator[None]:
    """Run a network in eval mode with gradients, which run through sigmas of dynamic layers only when told."""
    dynamic = [] if through_sigma else [module for module in model.modules() if isinstance(module, DGMConv2d)]
    handles = [layer.sigma_module.register_forward_hook(_detached) for layer in dynamic]
    try:
        with eval_mode(model), torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for handle in handles:
            handle.remove()


def rectified_gradient(score: Tensor, x: Tensor) -> Tensor:
    """Return the positive gradient of a score with respect to a (B, C, H, W) input, as (H, W) float64 on the CPU.

    It is 0 where the score does not depend on the input.
    """
    found = torch.autograd.grad(score, x, allow_unused=True)[0] if score.requires_grad else None
    if found is None:
        return torch.zeros(x.shape[2:], dtype=torch.float64)
    return found.clamp(min=0).double().sum((0, 1)).cpu()


def _detached(_module: nn.Module, _inputs: Any, output: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(sigma.detach() for sigma in output)


def _centre(output: Any, size: torch.Size, name: str) -> tuple[Tensor, tuple[int, int]]:
    """The sum of a feature map's centre over images and channels, and the map's height and width."""
    if not isinstance(output, Tensor) or output.ndim != 4:
        received = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"layer={name!r} gives {received}: choose a layer with a feature map (B, C, H, W).")
    _, first, second, third = output.shape
    # A map with channels last keeps the image's proportions in its second and third axis only.
    if not _same_stride(size, second, third) and _same_stride(size, first, second):
        return output[:, first // 2, second // 2].sum(), (first, second)
    return output[:, :, second // 2, third // 2].sum(), (second, third)


def _looked_at(gradient: Tensor, outputs: int) -> int:
    """Return the pixel, of those in a column or row, that the middle one of so many outputs looks at.

    It is one of the pixels of its stride, and padding decides which. Here, it is the median of the (pixels,) gradient.
    """
    place, stride = outputs // 2, len(gradient) / outputs
    median = int((gradient.cumsum(0) < gradient.sum() / 2).sum())
    return min(max(median, math.floor(place * stride)), math.ceil((place + 1) * stride) - 1)


def _same_stride(size: torch.Size, height: int, width: int) -> bool:
    return round(size[0] / height) == round(size[1] / width)


def _fit_gaussian(field: np.ndarray[Any, Any], side: float) -> tuple[float, float]:
    height, width = field.shape
    if min(height, width) < 3:
        return math.nan, math.nan
    y, x = (axis.ravel() for axis in np.indices(field.shape, dtype=float))

    def bell(_: Any, top: float, cx: float, cy: float, sx: float, sy: float) -> np.ndarray[Any, Any]:
        return top * np.exp(-(((x - cx) / sx) ** 2) / 2 - ((y - cy) / sy) ** 2 / 2)

    # A square of 2.1 sigma holds half of a Gaussian.
    start = (1.0, width // 2, height // 2, side / 2.1, side / 2.1)
    limits = ((0.0, -0.5, -0.5, 0.1, 0.1), (2.0, width, height, 10.0 * width, 10.0 * height))
    try:
        found, _ = curve_fit(bell, x, (field / field.max()).ravel(), start, bounds=limits)
    except RuntimeError:  # it does not converge
        return math.nan, math.nan
    return float(found[3]), float(found[4])


_SHOWN = 5


def target_layer(model: nn.Module, layer: str | int | None = None) -> tuple[str, nn.Module]:
    """Return the name and module of a layer, as `receptive_field` takes it.

    Where a network has no known stages, None is its last convolution.

    Raises:
        ValueError: when the network has no such layer or stage; the message names some that exist.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    if isinstance(layer, str):
        if layer in modules:
            return layer, modules[layer]
        names = [name for name in modules if name]
        close = difflib.get_close_matches(layer, names, _SHOWN, cutoff=0.4) or names[:_SHOWN]
        raise ValueError(
            f"layer={layer!r}: {type(model).__name__} has no such layer. Pass the name of a module, for example "
            f"{', '.join(map(repr, close))}, or the number of a stage."
        )
    convs, stages = convolutions(model), stages_of(model)
    if not convs:
        raise ValueError(f"{type(model).__name__} has no convolution: pass the name of a module as layer.")
    last = convs[-1][0]
    if layer is None:
        name = _end(stages, max(stages.values())) if stages else last
        return name, modules[name]
    depth = max(stages.values(), default=0)
    if not 1 <= layer <= depth:
        allowed = f"stages 1 to {depth}" if depth else "no known stages: pass the name of a module"
        raise ValueError(f"layer={layer}: {type(model).__name__} has {allowed}, for example {last!r}.")
    name = _end(stages, layer)
    return name, modules[name]


def _end(stages: dict[str, int], number: int) -> str:
    """The name of the largest module that ends with a stage and has no part in another."""
    end = [name for name, stage in stages.items() if stage == number][-1]
    while "." in end:
        parent = end.rpartition(".")[0]
        inside = {stage for name, stage in stages.items() if name.startswith(f"{parent}.")}
        if inside != {number} or parent not in stages:
            break
        end = parent
    return end
