"""An account of every convolution of a network: the mask it has, or what a conversion would make of it."""

from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from timm.layers import Conv2dSame
from torch import nn
from torch.nn.utils import parametrize

from ..layers import DGMConv2d, SGMConv2d
from ..layers.masks import smallest_mask_value
from ..layers.static import initial_sigma
from .config import Conversion, has_masks, present_conversion
from .replace import held_values
from .stages import convolutions, stages_of, stem_names

__all__ = ["FLAT_KERNEL", "ConversionReport", "PlannedConv", "conversion_report", "plan_conversion"]

# W / M is ill-conditioned below this: refused when outputs are to be preserved.
SMALLEST_DIVISOR = 1e-3
# Up to so many taps a side, all of them are equally near the centre: no sigma changes the mask.
FLAT_KERNEL = 2


@dataclass(frozen=True)
class PlannedConv:
    """One convolution of a network and what becomes of it.

    Attributes:
        name: module name, "" where the network is itself a convolution.
        layer: name of its type.
        kernel: height and width of the kernel in taps; empty where the layer has none.
        stage: stage of the network, counted from 1; None for the stem or where stages are unknown.
        is_stem: whether it is a stem convolution.
        target: mask, "dynamic" or "static"; None where it gets none.
        reason: why it gets no mask; empty where it gets one.
    """

    name: str
    layer: str
    kernel: tuple[int, ...]
    stage: int | None
    is_stem: bool
    target: str | None
    reason: str


class ConversionReport(list[PlannedConv]):
    """One `PlannedConv` per convolution; prints as a table."""

    @property
    def converted(self) -> list[PlannedConv]:
        """The rows of the convolutions that carry a mask."""
        return [row for row in self if row.target]

    def __str__(self) -> str:
        header = ("name", "layer", "kernel", "stage", "mask")
        cells = [header, *(_cells(row) for row in self)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(header))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
        lines.append(f"{len(self.converted)} of {len(self)} convolutions carry a Gaussian mask.")
        return "\n".join(line.rstrip() for line in lines)


def plan_conversion(model: nn.Module, conversion: Conversion, *, preserve: bool) -> list[PlannedConv]:
    """Decide for every convolution, in module order, whether it is converted, without touching it.

    Raises:
        ValueError: when the network has nothing to convert, is converted already, has no such stages, or a mask
            would make W / M ill-conditioned, which forbids it where outputs are to be preserved.
    """
    if has_masks(model):
        raise ValueError("this network has Gaussian mask convolutions already: convert the plain network instead.")
    if not (rows := account(model, conversion)):
        raise ValueError(f"{type(model).__name__} has no convolution: there is nothing to mask.")
    if not conversion.masks_anything:
        raise ValueError("stem=None and body=None: nothing would be converted; set at least one of them.")
    _check_stages(model, conversion)
    targets = {True: conversion.stem, False: conversion.body}
    rows = [row if row.reason else replace(row, target=targets[row.is_stem]) for row in rows]
    if not any(row.target for row in rows):
        found = "; ".join(sorted({row.reason for row in rows}))
        raise ValueError(f"none of the {len(rows)} convolutions of {type(model).__name__} can be masked: {found}.")
    if preserve:
        _check_divisors(rows, conversion.sigma_init)
    return rows


def conversion_report(model: nn.Module) -> ConversionReport:
    """Account for every convolution of a converted network.

    Args:
        model: a network, converted or not.

    Returns:
        One row per convolution in module order: its mask ("static" or "dynamic"), or why it has none.
    """
    rows = account(model, present_conversion(model))
    return ConversionReport(row if row.target or row.reason else replace(row, reason="not converted") for row in rows)


def account(model: nn.Module, conversion: Conversion | None) -> list[PlannedConv]:
    """Account for every convolution of a network in module order: its mask, or why a conversion gives it none.

    The conversion is what is asked for, or what the network was converted with; None to ask for nothing. A convolution
    that it would mask has neither a mask nor a reason.
    """
    stems, stages = stem_names(model), stages_of(model)
    held = (value for module in model.modules() for value in held_values(module))
    uses = Counter(id(value) for value in held if isinstance(value, nn.Parameter))

    def reason(name: str, module: nn.Module) -> str:
        if cannot := _why_unmaskable(module):
            return cannot
        if uses[id(module.weight)] > 1:
            return "its weight is shared with another layer or attribute"
        if conversion is None:
            return ""
        if name in stems:
            return "stem=None" if conversion.stem is None else ""
        if conversion.body is None:
            return "body=None"
        chosen = conversion.stages is None or stages.get(name) in conversion.stages
        return "" if chosen else f"not in stages {conversion.stages}"

    rows = []
    for name, module in convolutions(model):
        mask = "static" if isinstance(module, SGMConv2d) else "dynamic" if isinstance(module, DGMConv2d) else None
        stage, kernel = None if name in stems else stages.get(name), tuple(getattr(module, "kernel_size", ()))
        why = "" if mask else reason(name, module)
        rows.append(PlannedConv(name, type(module).__name__, kernel, stage, name in stems, mask, why))
    return rows


def _cells(row: PlannedConv) -> tuple[str, ...]:
    stage = "stem" if row.is_stem else "-" if row.stage is None else str(row.stage)
    kernel = "x".join(map(str, row.kernel)) or "-"
    return (row.name or "(root)", row.layer, kernel, stage, row.target or f"none ({row.reason})")


def _why_unmaskable(module: nn.Module) -> str:
    """Say why a convolution cannot carry a mask; empty if it can."""
    if not isinstance(module, nn.Conv2d):
        return f"{type(module).__name__} is not a Conv2d"
    if max(module.kernel_size) <= FLAT_KERNEL:
        return f"{module.kernel_size[0]}x{module.kernel_size[1]}: its mask is identically 1"
    if isinstance(module, nn.modules.lazy.LazyModuleMixin):
        return "lazy: run one batch through the network first"
    own = dict(module.named_parameters(recurse=False))
    if parametrize.is_parametrized(module) or "weight" not in own or not ("bias" in own or module.bias is None):
        return "its weight or bias is parametrized"
    if "forward" in vars(module):
        return "its forward has been replaced"
    base, own_class = Conv2dSame if isinstance(module, Conv2dSame) else nn.Conv2d, type(module)
    usual = own_class.__call__ is base.__call__ and own_class.forward is base.forward
    if not usual or own_class._conv_forward is not nn.Conv2d._conv_forward:
        return f"{own_class.__name__} computes its convolution in its own way"
    if lost := {name for name in dir(own_class) if not name.startswith("_")} - set(dir(base)):
        return f"a mask layer lacks what {own_class.__name__} defines ({', '.join(sorted(lost))})"
    children = dict(module.named_children())
    if others := (own.keys() - {"weight", "bias"}) | dict(module.named_buffers(recurse=False)).keys() | children.keys():
        return f"it has tensors or modules of its own ({', '.join(sorted(others))})"
    if taken := vars(module).keys() & _names_of_mask_layers():
        return f"a mask layer needs the names of its attributes ({', '.join(sorted(taken))})"
    return _contradiction(module)


@cache
def _names_of_mask_layers() -> set[str]:
    """Return the names of attributes that a mask layer has and a convolution has not."""
    layers = (layer(1, 1, 3, device="meta") for layer in (SGMConv2d, DGMConv2d))
    return {name for layer in layers for name in dir(layer)} - set(dir(nn.Conv2d(1, 1, 3, device="meta")))


def _contradiction(conv: nn.Conv2d) -> str:
    """Say which settings of a convolution contradict its tensors, as after a change by hand; empty if none do."""
    if not conv.weight.is_floating_point():
        return f"its weight is {conv.weight.dtype}, not of a real floating-point type"
    geometry = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups, conv.bias is not None)
    try:
        twin = nn.Conv2d(conv.in_channels, conv.out_channels, *geometry, conv.padding_mode, device="meta")  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError) as error:
        return f"its settings contradict one another: {error}"
    for name, tensor in conv.named_parameters(recurse=False):
        if tensor.shape != (needed := twin.get_parameter(name).shape):
            return f"its {name} has shape {tuple(tensor.shape)}, but its settings need {tuple(needed)}"
    if conv.padding_mode != "zeros" and _output_shape(conv) != _output_shape(twin):
        return f"its padding was changed after it was built, which padding_mode={conv.padding_mode!r} does not follow"
    return ""


@torch.no_grad()
def _output_shape(conv: nn.Conv2d) -> torch.Size:
    """Return the shape of a convolution's output for an image that is large enough for its padding."""
    padding = 0 if isinstance(conv.padding, str) else max(conv.padding)
    side = 2 * (padding + max(size * step for size, step in zip(conv.kernel_size, conv.dilation, strict=True)))
    return nn.Conv2d.forward(conv, conv.weight.new_zeros(1, conv.in_channels, side, side)).shape


def _check_stages(model: nn.Module, conversion: Conversion) -> None:
    if conversion.stages is None:
        return
    if not (stages := stages_of(model)):
        raise ValueError(
            f"stages={conversion.stages}: {type(model).__name__} has no known stages; pass stages=None, or set "
            "model.conv_stages to a tuple of tuples of module names first."
        )
    if max(conversion.stages) > (depth := max(stages.values())):
        raise ValueError(f"stages={conversion.stages}: this network has stages 1 to {depth}; pass a subset of them.")


def _check_divisors(rows: list[PlannedConv], sigma_init: float | str) -> None:
    for row in rows:
        kernel: Any = row.kernel
        smallest = smallest_mask_value(initial_sigma(kernel, sigma_init), kernel) if row.target else 1.0
        if smallest < SMALLEST_DIVISOR:
            raise ValueError(
                f"sigma_init={sigma_init}: the mask of {row.name or 'the network'} (kernel {kernel}) falls to "
                f"{smallest:.2g}, and dividing by less than {SMALLEST_DIVISOR} is ill-conditioned. Pass a larger "
                "sigma_init, or preserve=False (in create_model pretrained=False), which changes the outputs."
            )
