"""How large a network is and what one image costs, counted without weights and without computing anything."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["Profile", "profile", "profile_registered"]


@dataclass(frozen=True)
class Profile:
    """The size of a network, and the cost of one image of (channels, height, width) in pixels.

    `macs` are the multiply-accumulates, and `activations` the output elements, of convolutions and linear layers.
    """

    parameters: int
    macs: int
    activations: int
    input_size: tuple[int, int, int]


def profile(model: nn.Module, input_size: tuple[int, int, int]) -> Profile:
    """Count parameters and operations of a network on the meta device, which is put into eval mode.

    The image has (channels, height, width) in pixels. On this device, a forward pass computes shapes only.
    """
    activations = 0

    def count(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal activations
        activations += output.numel()

    layers = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    handles = [layer.register_forward_hook(count) for layer in layers]
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model.eval()(torch.empty(1, *input_size, device="meta"))
    finally:
        for handle in handles:
            handle.remove()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Profile(parameters, counter.get_total_flops() // 2, activations, input_size)


@cache  # cards of several tags are about the same network
def profile_registered(
    name: str, *, num_classes: int | None = None, input_size: tuple[int, int, int] | None = None
) -> Profile:
    """Count parameters and operations of a model in timm's registry; None for the values of its configuration."""
    kwargs: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    with torch.device("meta"):
        model = timm.create_model(name, pretrained=False, **kwargs)
    size: Any = input_size or model.pretrained_cfg["input_size"]  # type: ignore[index]
    return profile(model, tuple(size))
