"""Standard network -> GMConv twin and back, on any CNN."""

from .config import CONVERSION_KEYS, Conversion, fit_sigma_modules, has_masks, present_conversion
from .convert import convert, fuse
from .plan import conversion_report

__all__ = [
    "CONVERSION_KEYS",
    "Conversion",
    "conversion_report",
    "convert",
    "fit_sigma_modules",
    "fuse",
    "has_masks",
    "present_conversion",
]
