"""Measure the effect of a dynamic stem: how much its masks vary, and which predictions depend on them."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from gmconv_zoo.classify.loading import make_loaders
from gmconv_zoo.classify.recipes import FINETUNE
from gmconv_zoo.data.sources import open_data
from gmconv_zoo.layers import DGMConv2d
from gmconv_zoo.sigmas import DynamicMask, dynamic_masks
from gmconv_zoo.weights.specs import Stem

__all__ = ["measure_stem", "stem_effect"]


def measure_stem(model: nn.Module, data: str | Path) -> Stem:
    """Measure the dynamic stem of a classifier, as `stem_effect`, on the validation images that training would use."""
    loader = make_loaders(model, open_data(data), FINETUNE).val
    return stem_effect(model.eval(), lambda: (images for images, _ in loader))


@torch.inference_mode()
def stem_effect(model: nn.Module, batches: Callable[[], Iterable[Tensor]]) -> Stem:
    """Count the predictions that depend on which image a dynamic stem's sigmas come from.

    Every image gets the sigmas of another one, by a fixed random permutation. ``batches`` gives the same
    (B, C, H, W) images, in the same order, every time it is called; the classifier is in eval mode.

    Raises:
        ValueError: when the network has no dynamic layer or several, or there are fewer than two images.
    """
    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, DGMConv2d)]
    if len(layers) != 1:
        raise ValueError(
            f"this network has {len(layers)} dynamic layers: pass a network whose only dynamic layer is the stem."
        )
    name, layer = layers[0]
    found = [(dynamic_masks(model, images)[name], model(images).argmax(1)) for images in batches()]
    seen = DynamicMask(*(torch.cat([getattr(mask, part) for mask, _ in found]) for part in ("sigma", "mask", "live")))
    own = torch.cat([predicted for _, predicted in found])
    if len(own) < 2:
        raise ValueError(f"received {len(own)} images: pass at least two, so that their sigmas can be exchanged.")
    # a cycle through a random order: no image keeps its own sigmas
    order = torch.randperm(len(own), generator=torch.Generator().manual_seed(0))
    other = torch.empty_like(seen.sigma)
    other[order] = seen.sigma[order.roll(1)]
    place = 0

    def exchange(_module: nn.Module, _inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        nonlocal place
        size = len(output[0])
        sigma = other[place : place + size].to(output[0])
        place += size
        return sigma[:, 0], sigma[:, 1]

    handle = layer.sigma_module.register_forward_hook(exchange)
    try:
        exchanged = torch.cat([model(images).argmax(1) for images in batches()])
    finally:
        handle.remove()
    return Stem(seen.spread, tuple(seen.live_shares), len(own), int((exchanged != own).sum()))
