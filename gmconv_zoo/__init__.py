"""GMConv (arXiv 2302.04544) wherever a timm model is usable. Importing this package registers its models."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import hub, models  # noqa: F401
from ._version import __version__
from .conversion import conversion_report, convert, fuse
from .layers import DGMConv2d, SGMConv2d
from .saving import load, save
from .sigmas import clip_sigma_grad, dynamic_masks, param_groups, revive, sigmas

if TYPE_CHECKING:
    from .visualize.explain import explain

__all__ = [
    "DGMConv2d",
    "SGMConv2d",
    "__version__",
    "clip_sigma_grad",
    "conversion_report",
    "convert",
    "dynamic_masks",
    "explain",
    "fuse",
    "load",
    "param_groups",
    "revive",
    "save",
    "sigmas",
]

# Imported at their first use, because they need an extra.
_LAZY = {"explain": ".visualize.explain"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
