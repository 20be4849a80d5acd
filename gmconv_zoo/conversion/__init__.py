"""Standard network -> GMConv twin and back, on any CNN."""

from .config import CONVERSION_KEYS, Conversion, fit_sigma_modules, has_masks, present_conversion
from .convert import convert
from .fuse import fuse
from .plan import PlannedConv
from .report import ConversionReport, conversion_report

__all__ = [
    "CONVERSION_KEYS",
    "Conversion",
    "ConversionReport",
    "PlannedConv",
    "conversion_report",
    "convert",
    "fit_sigma_modules",
    "fuse",
    "has_masks",
    "present_conversion",
]
