"""What a conversion would do to every convolution of a network, decided before anything is changed."""

from collections import Counter
from dataclasses import dataclass

from timm.layers import CondConv2d, Conv2dSame
from torch import nn
from torch.nn.utils import parametrize

from ..layers import DGMConv2d, SGMConv2d, initial_sigma, smallest_mask_value
from .config import Conversion
from .stages import stage_of_modules, stem_names

__all__ = [
    "FLAT_KERNEL",
    "SMALLEST_DIVISOR",
    "PlannedConv",
    "convolutions",
    "plan_conversion",
    "skip_reason",
    "weight_uses",
]

# W / M is ill-conditioned below this: refused when outputs are to be preserved.
SMALLEST_DIVISOR = 1e-3
# Up to so many taps a side, all of them are equally near the centre: no sigma changes the mask.
FLAT_KERNEL = 2


@dataclass(frozen=True)
class PlannedConv:
    """One convolution of a network and what becomes of it.

    Attributes:
        name: its module name ("" where the network is itself a convolution).
        layer: its type's name.
        kernel: kernel size in taps.
        stage: the network's stage it lies in, counted from 1; None for the stem or where stages are unknown.
        is_stem: whether it is a stem convolution.
        target: "dynamic", "static" or None where it is left.
        reason: why it is left; empty where it is converted.
    """

    name: str
    layer: str
    kernel: tuple[int, ...]
    stage: int | None
    is_stem: bool
    target: str | None
    reason: str


def convolutions(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Every convolution of a network under every name it has, in module order.

    The small layers inside a dynamic layer's sigma module belong to that layer and are left out.
    """
    inside = tuple(
        f"{name}.sigma_module." if name else "sigma_module."
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, DGMConv2d)
    )
    return [
        (name, module)
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, (nn.modules.conv._ConvNd, CondConv2d)) or _is_deformable(module)
        if not (inside and name.startswith(inside))
    ]


def plan_conversion(model: nn.Module, conversion: Conversion, *, preserve: bool) -> list[PlannedConv]:
    """Decide for every convolution whether it is converted, without touching it.

    Args:
        model: any network not yet converted.
        conversion: what is asked for.
        preserve: whether the outputs are to be kept, which forbids masks with values close to 0.

    Returns:
        One entry per convolution, in module order.

    Raises:
        ValueError: when the network has nothing to convert, is converted already, has no such stages, or a mask
            would make W / M ill-conditioned.
    """
    convs = convolutions(model)
    if any(isinstance(module, (SGMConv2d, DGMConv2d)) for _, module in convs):
        raise ValueError("this network has Gaussian mask convolutions already: convert the plain network instead.")
    if not convs:
        raise ValueError(f"{type(model).__name__} has no convolution: there is nothing to mask.")
    if not conversion.masks_anything:
        raise ValueError("stem=None and body=None: nothing would be converted; set at least one of them.")
    stems = stem_names(model, [name for name, _ in convs])
    stages = stage_of_modules(model, stems)
    _check_stages(model, conversion, stages)
    shared = weight_uses(convs)
    rows = []
    for name, module in convs:
        is_stem = name in stems
        stage = None if is_stem or stages is None else stages.get(name)
        target = conversion.stem if is_stem else conversion.body
        reason = skip_reason(module)
        if not reason and shared[id(module.weight)] > 1:
            reason = "its weight is shared with another convolution"
        if not reason and target is None:
            reason = "stem=None" if is_stem else "body=None"
        if not reason and not is_stem and conversion.stages is not None and stage not in conversion.stages:
            reason = f"not in stages {conversion.stages}"
        kernel = tuple(getattr(module, "kernel_size", ()))
        rows.append(
            PlannedConv(name, type(module).__name__, kernel, stage, is_stem, None if reason else target, reason)
        )
    if not any(row.target for row in rows):
        reasons = "; ".join(sorted({row.reason for row in rows}))
        raise ValueError(f"none of the {len(rows)} convolutions of {type(model).__name__} can be masked: {reasons}.")
    if preserve:
        _check_divisors(rows, conversion.sigma_init)
    return rows


def weight_uses(convs: list[tuple[str, nn.Module]]) -> Counter[int]:
    """How many different layers use each weight, by the weight's identity."""
    layers = {id(module): module for _, module in convs}
    return Counter(id(getattr(module, "weight", None)) for module in layers.values())


def skip_reason(module: nn.Module) -> str:
    """Why a convolution cannot carry a mask; empty when it can."""
    if not isinstance(module, nn.Conv2d):
        return f"{type(module).__name__} is not a Conv2d"
    if max(module.kernel_size) <= FLAT_KERNEL:
        return f"{module.kernel_size[0]}x{module.kernel_size[1]}: its mask is identically 1"
    if isinstance(module, nn.modules.lazy.LazyModuleMixin):
        return "lazy: run one batch through the network first"
    if parametrize.is_parametrized(module) or "weight" not in module._parameters:
        return "its weight is parametrized"
    if "forward" in vars(module):
        return "its forward has been replaced"
    if not isinstance(module, Conv2dSame) and (
        type(module).forward is not nn.Conv2d.forward or type(module)._conv_forward is not nn.Conv2d._conv_forward
    ):
        return f"{type(module).__name__} computes its convolution in its own way"
    return ""


def _is_deformable(module: nn.Module) -> bool:
    # by name, so that torchvision's operators are not imported for it
    return any(cls.__name__ == "DeformConv2d" for cls in type(module).__mro__)


def _check_stages(model: nn.Module, conversion: Conversion, stages: dict[str, int] | None) -> None:
    if conversion.stages is None:
        return
    if not stages:
        raise ValueError(
            f"stages={conversion.stages}: {type(model).__name__} has no known stages; pass stages=None, or set "
            "model.conv_stages to a tuple of tuples of module names first."
        )
    depth = max(stages.values())
    if max(conversion.stages) > depth:
        raise ValueError(
            f"stages={conversion.stages}: this network has stages 1 to {depth}; pass a subset of them, e.g. (1, 2)."
        )


def _check_divisors(rows: list[PlannedConv], sigma_init: float | str) -> None:
    for row in rows:
        if row.target is None:
            continue
        kernel = (row.kernel[0], row.kernel[1])
        smallest = smallest_mask_value(initial_sigma(kernel, sigma_init), kernel)
        if smallest < SMALLEST_DIVISOR:
            raise ValueError(
                f"sigma_init={sigma_init}: the mask of {row.name or 'the network'} (kernel {row.kernel}) falls to "
                f"{smallest:.2g}, and dividing by less than {SMALLEST_DIVISOR} is ill-conditioned. Pass a larger "
                "sigma_init, or preserve=False (in create_model pretrained=False) to keep the weights undivided and "
                "change the outputs."
            )
