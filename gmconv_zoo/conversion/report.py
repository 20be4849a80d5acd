"""An account of every convolution of a network: masked by what, or left and why."""

from torch import nn

from ..layers import DGMConv2d, SGMConv2d
from .config import Conversion
from .plan import PlannedConv, convolutions, skip_reason, weight_uses
from .record import present_conversion
from .stages import stage_of_modules, stem_names

__all__ = ["ConversionReport", "conversion_report"]


class ConversionReport(list[PlannedConv]):
    """One `PlannedConv` per convolution; prints as a table."""

    @property
    def converted(self) -> list[PlannedConv]:
        """The convolutions that carry a mask."""
        return [row for row in self if row.target]

    def __str__(self) -> str:
        header = ("name", "layer", "kernel", "stage", "mask")
        cells = [header, *(_cells(row) for row in self)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(header))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
        lines.append(f"{len(self.converted)} of {len(self)} convolutions carry a Gaussian mask.")
        return "\n".join(line.rstrip() for line in lines)


def conversion_report(model: nn.Module) -> ConversionReport:
    """Account for every convolution of a converted network.

    Args:
        model: a network, converted or not.

    Returns:
        One row per convolution in module order: its mask ("static" or "dynamic"), or why it has none.
    """
    convs = convolutions(model)
    if not convs:
        return ConversionReport()
    conversion = present_conversion(model)
    stems = stem_names(model, [name for name, _ in convs])
    stages = stage_of_modules(model, stems) or {}
    weights = weight_uses(convs)
    return ConversionReport(
        _row(name, module, stems, stages, conversion, weights[id(getattr(module, "weight", None))] > 1)
        for name, module in convs
    )


def _row(
    name: str,
    module: nn.Module,
    stems: tuple[str, ...],
    stages: dict[str, int],
    conversion: Conversion | None,
    shared: bool,
) -> PlannedConv:
    target = "static" if isinstance(module, SGMConv2d) else "dynamic" if isinstance(module, DGMConv2d) else None
    stage = None if name in stems else stages.get(name)
    reason = ""
    if target is None:
        reason = skip_reason(module) or _unselected(name in stems, stage, conversion, shared)
    kernel = tuple(getattr(module, "kernel_size", ()))
    return PlannedConv(name, type(module).__name__, kernel, stage, name in stems, target, reason)


def _unselected(is_stem: bool, stage: int | None, conversion: Conversion | None, shared: bool) -> str:
    if conversion is None:
        return "not converted"
    wanted = conversion.stem if is_stem else conversion.body
    if wanted is None:
        return "stem=None" if is_stem else "body=None"
    if not is_stem and conversion.stages is not None and stage not in conversion.stages:
        return f"not in stages {conversion.stages}"
    return "its weight is shared with another convolution" if shared else "not converted"


def _cells(row: PlannedConv) -> tuple[str, ...]:
    stage = "stem" if row.is_stem else "-" if row.stage is None else str(row.stage)
    kernel = "x".join(map(str, row.kernel)) or "-"
    return (row.name or "(root)", row.layer, kernel, stage, row.target or f"none ({row.reason})")
