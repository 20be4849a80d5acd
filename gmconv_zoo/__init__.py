"""GMConv (arXiv 2302.04544) wherever a timm model is usable. Importing this package registers its models."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import hub, models  # noqa: F401
from ._version import __version__
from .conversion import conversion_report, convert, fuse
from .layers import DGMConv2d, SGMConv2d
from .saving import load, save
from .saving.config import PLAN_BUILDERS
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

# What needs an extra or more imports than a model does: module and function, or a module alone. Imported at first use.
_LAZY = {
    "detection": (".detection", ""),
    "explain": (".visualize.explain", "explain"),
    "export_model": (".export.export", "export"),
    "finetune": (".classify.train", "finetune"),
    "predict": (".classify.predict", "predict"),
    "report": (".reports.classifier", "report"),
    "validate": (".validation.run", "run_validation"),
}

PLAN_BUILDERS["detector"] = lambda plan: import_module(".detection.build", __name__).rebuild(plan)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, function = _LAZY[name]
    found = import_module(module, __name__)
    return getattr(found, function) if function else found


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
