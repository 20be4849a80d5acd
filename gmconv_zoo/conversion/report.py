"""An account of every convolution of a network: its mask, or why it has none."""

from dataclasses import replace

from torch import nn

from .config import present_conversion
from .plan import PlannedConv, account

__all__ = ["ConversionReport", "conversion_report"]


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


def conversion_report(model: nn.Module) -> ConversionReport:
    """Account for every convolution of a converted network.

    Args:
        model: a network, converted or not.

    Returns:
        One row per convolution in module order: its mask ("static" or "dynamic"), or why it has none.
    """
    rows = account(model, present_conversion(model))
    return ConversionReport(row if row.target or row.reason else replace(row, reason="not converted") for row in rows)


def _cells(row: PlannedConv) -> tuple[str, ...]:
    stage = "stem" if row.is_stem else "-" if row.stage is None else str(row.stage)
    kernel = "x".join(map(str, row.kernel)) or "-"
    return (row.name or "(root)", row.layer, kernel, stage, row.target or f"none ({row.reason})")
