"""What conversion a network has now, after masks may have been folded away by whatever means."""

from dataclasses import replace

from torch import nn

from ..layers import DGMConv2d, SGMConv2d
from .config import Conversion

__all__ = ["present_conversion"]


def present_conversion(model: nn.Module) -> Conversion | None:
    """The conversion that describes a network's masks as they are.

    Args:
        model: any network.

    Returns:
        What it was converted with, less the kinds of mask that it no longer holds (timm's ``reparameterize_model``
        folds static masks without saying so); None for a network that was never converted.
    """
    recorded = getattr(model, "gmconv_conversion", None)
    if not isinstance(recorded, Conversion):
        return None
    kinds = {type(module) for module in model.modules()}
    held = {"static": SGMConv2d in kinds, "dynamic": DGMConv2d in kinds, None: True}
    return replace(
        recorded,
        stem=recorded.stem if held[recorded.stem] else None,
        body=recorded.body if held[recorded.body] else None,
    )
