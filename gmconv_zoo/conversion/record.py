"""The conversion that a network has now, even if masks were folded in by another library since."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn

from ..layers import DGMConv2d, SGMConv2d
from .config import Conversion

__all__ = ["fit_sigma_modules", "has_masks", "present_conversion"]


def has_masks(model: nn.Module) -> bool:
    """Return whether a network has Gaussian mask convolutions."""
    return any(isinstance(module, (SGMConv2d, DGMConv2d)) for module in model.modules())


def present_conversion(model: nn.Module) -> Conversion | None:
    """Return the conversion that describes the masks of a network as they are now; None if it was never converted.

    It is the one that the network was made with, without the kinds of mask that it no longer has (timm's
    ``reparameterize_model`` folds static masks in without a record).
    """
    recorded = getattr(model, "gmconv_conversion", None)
    if not isinstance(recorded, Conversion):
        return None
    # by isinstance: torch gives a parametrized layer a class of its own, which derives from the layer's
    layers = list(model.modules())
    held = {
        "static": any(isinstance(layer, SGMConv2d) for layer in layers),
        "dynamic": any(isinstance(layer, DGMConv2d) for layer in layers),
        None: True,
    }
    return replace(
        recorded,
        stem=recorded.stem if held[recorded.stem] else None,
        body=recorded.body if held[recorded.body] else None,
    )


def fit_sigma_modules(model: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Give the dynamic layers of a network the hidden widths of a checkpoint, before it is loaded.

    Version 0.1 used 4 hidden units in every dynamic layer, later ones the width of Eq. 7 outside the stem.
    """
    for name, module in model.named_modules():
        rows = state_dict.get(f"{name}.sigma_module.fc_max.weight" if name else "sigma_module.fc_max.weight")
        if isinstance(module, DGMConv2d) and rows is not None and len(rows) != module.sigma_module.fc.in_features:
            module.set_hidden_channels(len(rows))
