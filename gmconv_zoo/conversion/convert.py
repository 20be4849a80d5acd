"""Turn any CNN into its GMConv twin that computes the same function, and back (paper Sec. III, Static GMConv)."""

import logging
from typing import Any

from timm.layers import Conv2dSame
from torch import nn

from ..layers import DGMConv2d, SGMConv2d, check_network, circular_mask, copy_network
from ..layers.copying import take_attributes, unwrapped
from ..layers.dynamic import STEM_HIDDEN_CHANNELS
from ..layers.static import initial_sigma
from .config import Conversion, present_conversion
from .plan import PlannedConv, plan_conversion
from .replace import replace_modules

__all__ = ["convert", "fuse"]

_logger = logging.getLogger(__name__)


def convert(
    model: nn.Module,
    *,
    stem: str | None = "dynamic",
    body: str | None = "static",
    stages: tuple[int, ...] | None = None,
    sigma_init: float | str = 5.0,
    sigma_design: str = "ratio",
    preserve: bool = True,
    inplace: bool = False,
) -> nn.Module:
    """Replace the convolutions of a network by Gaussian mask convolutions.

    With ``preserve`` every kernel W is stored as W / mask, so that the converted network computes what the plain one
    did, up to rounding. Device, dtype, memory format, train mode, ``requires_grad``, hooks and attributes are kept.
    Convolutions that cannot carry a mask are left as they are (`conversion_report` says why). Convert before you create
    an optimizer, because the parameters are new ones.

    Args:
        model: any network with at least one convolution that can be masked.
        stem: "dynamic" (the paper's GMConv), "static" (its S-GMConv) or None, for the first convolution.
        body: the same for all other convolutions; "dynamic" there was hard to train in the paper.
        stages: stages counted from 1 that the body setting reaches; None for the whole network.
        sigma_init: initial sigma in kernel taps, above 0, or "kernel": half of each kernel's width, so that the corner
            of every mask is exp(-1). At the paper's 5, a 3x3 mask is nearly flat and hardly learns.
        sigma_design: what a dynamic layer predicts (Table IV): "ratio", "pair" or "single".
        preserve: divide the weights by the initial mask, so that outputs stay the same; with False the weights
            stay as they are, as in training from scratch.
        inplace: change the model itself rather than a deep copy.

    Returns:
        The converted network (for a network that is itself one convolution, the new layer).

    Raises:
        TypeError: if the model is not a network.
        ValueError: for a value outside these, a network without convolutions that can be masked or that is converted
            already, stages that it does not have, or a sigma so small that W / mask would be ill-conditioned; nothing
            has been changed then.
    """
    conversion = Conversion(stem, body, stages, sigma_init, sigma_design)
    check_network(model)
    if isinstance(model, nn.parallel.DistributedDataParallel):
        raise ValueError("DistributedDataParallel holds the old parameters: convert the network before wrapping it.")
    plan = plan_conversion(model, conversion, preserve=preserve)
    if any(row.target == "dynamic" and not row.is_stem for row in plan):
        _logger.warning("body='dynamic': the paper found networks of dynamic layers alone hard to train.")
    for row in plan:
        if row.is_stem and row.target is None and conversion.stem is not None:
            _logger.warning("the stem %s stays as it is: %s.", row.name, row.reason)
    if readers := _kernel_readers(model, plan):
        _logger.warning(
            "blocks that fold their own convolutions read kernels without their masks (%s): convert with stem='static' "
            "and call gmconv_zoo.fuse before timm's reparameterize_model.",
            ", ".join(readers),
        )
    if not inplace:
        model = copy_network(model)
    rows: dict[nn.Module, PlannedConv] = {}
    for row in plan:
        if row.target:  # a convolution with several names stays one module
            rows.setdefault(model.get_submodule(row.name), row)
    model = replace_modules(model, [(conv, _masked(conv, row, conversion, preserve)) for conv, row in rows.items()])
    unwrapped(model).gmconv_conversion = conversion  # type: ignore[assignment]
    return model


def fuse(model: nn.Module, *, inplace: bool = False) -> nn.Module:
    """Replace every static mask convolution by the plain convolution it computes.

    Dynamic layers remain, because their kernels depend on the input. A network whose masks are all static has exactly
    the keys of the plain network afterwards. Fuse before other steps that read the weights of convolutions (folding of
    BatchNorm, re-parameterisation of branches).

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


def _kernel_readers(model: nn.Module, plan: list[PlannedConv]) -> list[str]:
    """Return the types of blocks around converted layers that fold their own convolutions, as timm's RepVGG does."""
    names = {
        row.name.rsplit(".", depth)[0] for row in plan if row.target for depth in range(1, row.name.count(".") + 1)
    }
    blocks = (module for name, module in model.named_modules() if name in names)
    folding = ("fuse", "reparameterize", "switch_to_deploy")
    return sorted({type(block).__name__ for block in blocks if any(hasattr(block, method) for method in folding)})


def _masked(conv: Any, row: PlannedConv, conversion: Conversion, preserve: bool) -> nn.Module:
    """Return a mask layer with the geometry, parameters, hooks, attributes and mode of a convolution."""
    args, same = (conv.in_channels, conv.out_channels, conv.kernel_size), isinstance(conv, Conv2dSame)
    geometry: dict[str, Any] = {"stride": conv.stride, "dilation": conv.dilation, "groups": conv.groups}
    geometry |= {"padding": "same" if same else conv.padding, "padding_mode": "zeros" if same else conv.padding_mode}
    geometry |= {"bias": conv.bias is not None, "device": conv.weight.device, "dtype": conv.weight.dtype}
    new: SGMConv2d | DGMConv2d
    sigma = initial_sigma(conv.kernel_size, conversion.sigma_init)
    if row.target == "dynamic":
        geometry |= {"sigma_design": conversion.sigma_design}
        geometry |= {"hidden_channels": STEM_HIDDEN_CHANNELS if row.is_stem else None}
        new = DGMConv2d(*args, sigma_init=sigma, **geometry)
        sigmas = new.sigma_module.parameters()
    else:
        # on the meta device no kernel is drawn that would be thrown away
        new = SGMConv2d(*args, sigma_init=sigma, **{**geometry, "device": "meta"})
        new.sigma = nn.Parameter(conv.weight.new_full((1,), sigma))
        sigmas = iter([new.sigma])
    for parameter in sigmas:
        parameter.requires_grad_(conv.weight.requires_grad)
    weight = conv.weight.detach()
    if preserve:
        rounded = weight.new_full((1,), sigma)  # as the parameter is
        weight = (weight / circular_mask(rounded, conv.kernel_size)).to(weight.dtype)
    new.weight = nn.Parameter(weight, requires_grad=conv.weight.requires_grad)
    new.bias = conv.bias
    vars(new.weight).update(vars(conv.weight))
    take_attributes(new, conv)
    return new.train(conv.training)
