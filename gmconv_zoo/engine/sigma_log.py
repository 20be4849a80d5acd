"""Sigmas epoch by epoch, and a warning when a dynamic layer has stopped being dynamic.

A dynamic layer whose hidden units are all 0 gives every image the same mask, and neither loss nor accuracy shows
it. So the share of live units and the spread of sigma over images are part of every epoch's row.
"""

import logging
from typing import Any

from torch import Tensor, nn

from ..layers import DGMConv2d
from ..sigmas import sigmas
from .loop import TrainState

__all__ = ["SigmaLog", "sigma_row"]

_logger = logging.getLogger(__name__)

# A spread this small relative to sigma is rounding.
STATIC_SPREAD = 1e-6


class SigmaLog:
    """An epoch callback that adds `sigma_row` to the epoch's row, and warns once of a layer gone static.

    Args:
        images: (B, C, H, W) at least two different images to look at, the same ones every epoch.
    """

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self._warned: set[str] = set()

    def __call__(self, state: TrainState, row: dict[str, Any]) -> None:
        values = sigma_row(state.network, self.images)
        row.update(values)
        for name in _dynamic_layers(state.network):
            if len(self.images) < 2 or _is_frozen(state.network.get_submodule(name)):
                continue
            reason = _static_reason(values, name, len(self.images))
            if reason and name not in self._warned:
                self._warned.add(name)
                _logger.warning(
                    "epoch %d: the dynamic layer %s has gone static: %s. Every image now gets the same mask; lower "
                    "the learning rate or train from an earlier state.",
                    state.epoch,
                    name or type(state.network).__name__,
                    reason,
                )


def sigma_row(model: nn.Module, images: Tensor) -> dict[str, float]:
    """Every sigma of a network as one row of numbers, in kernel taps.

    Args:
        model: any network; it is run once on the images, in eval mode.
        images: (B, C, H, W), on the network's device or not.

    Returns:
        "sigma/NAME" for a static layer. For a dynamic layer "sigma/NAME.horizontal" and ".vertical" (means over
        images), ".horizontal_spread" and ".vertical_spread" (standard deviations over images) and ".live", the
        share of hidden units that are above 0 for at least one image.
    """
    live: dict[str, float] = {}
    handles = [
        model.get_submodule(name).sigma_module.register_forward_hook(_live_recorder(live, name))  # type: ignore[union-attr]
        for name in _dynamic_layers(model)
    ]
    device = next(model.parameters()).device
    try:
        found = sigmas(model, images.to(device) if handles else None)
    finally:
        for handle in handles:
            handle.remove()
    row: dict[str, float] = {}
    for name, sigma in found.items():
        if name not in live:
            row[f"sigma/{name}"] = sigma.item()
            continue
        means, spreads = sigma.mean(0).tolist(), sigma.std(0, correction=0).tolist()
        for axis, mean, spread in zip(("horizontal", "vertical"), means, spreads, strict=True):
            row[f"sigma/{name}.{axis}"] = mean
            row[f"sigma/{name}.{axis}_spread"] = spread
        row[f"sigma/{name}.live"] = live[name]
    return row


def _dynamic_layers(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, DGMConv2d)]


def _is_frozen(layer: nn.Module) -> bool:
    """Whether what a layer predicts its mask with is not trained, as in linear probing."""
    return not any(parameter.requires_grad for parameter in layer.sigma_module.parameters())  # type: ignore[union-attr]


def _live_recorder(live: dict[str, float], name: str) -> Any:
    def record(module: nn.Module, inputs: tuple[Tensor], _output: Any) -> None:
        hidden = module.hidden(inputs[0])  # type: ignore[operator]
        live[name] = (hidden > 0).any(0).float().mean().item()

    return record


def _static_reason(row: dict[str, float], name: str, images: int) -> str:
    """Why a layer no longer depends on its input; empty where it does."""
    if row[f"sigma/{name}.live"] == 0:
        return f"all its hidden units are 0 for each of {images} images"
    axes = ("horizontal", "vertical")
    if all(row[f"sigma/{name}.{axis}_spread"] <= STATIC_SPREAD * row[f"sigma/{name}.{axis}"] for axis in axes):
        return f"its sigmas are the same for {images} images"
    return ""
