"""Fold static masks into their kernels: the same outputs from plain convolutions (paper Sec. III, Static GMConv)."""

from torch import nn

from ..layers import SGMConv2d, check_network, copy_network
from .config import Conversion, present_conversion
from .replace import replace_modules

__all__ = ["fuse"]


def fuse(model: nn.Module, *, inplace: bool = False) -> nn.Module:
    """Replace every static mask convolution by the plain convolution it computes.

    Dynamic layers remain, because their kernels depend on the input. If all masks of a network are static, its state
    dict has exactly the keys of the plain network afterwards, and loads into it. Fuse before other steps that read the
    weights of convolutions directly (folding of BatchNorm, re-parameterisation of branches).

    Args:
        model: any network, or a single layer.
        inplace: change the model itself rather than a deep copy.

    Returns:
        The fused network; for a model that is itself a static layer, the plain layer.
    """
    check_network(model)
    if not inplace:
        model = copy_network(model)
    pairs = [(layer, layer.fuse()) for layer in model.modules() if isinstance(layer, SGMConv2d)]
    model = replace_modules(model, pairs)
    for part in model.modules():  # a converted network may be part of a larger one
        if isinstance(vars(part).get("gmconv_conversion"), Conversion):
            part.gmconv_conversion = present_conversion(part)  # type: ignore[assignment]
    return model
