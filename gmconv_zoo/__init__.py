"""GMConv (arXiv 2302.04544) wherever a timm model is usable. Importing this package registers its models."""

from . import hub, models  # noqa: F401
from ._version import __version__
from .conversion import conversion_report, convert, fuse
from .layers import DGMConv2d, SGMConv2d
from .saving import load, save
from .sigmas import clip_sigma_grad, dynamic_masks, param_groups, revive, sigmas

__all__ = [
    "DGMConv2d",
    "SGMConv2d",
    "__version__",
    "clip_sigma_grad",
    "conversion_report",
    "convert",
    "dynamic_masks",
    "fuse",
    "load",
    "param_groups",
    "revive",
    "save",
    "sigmas",
]
