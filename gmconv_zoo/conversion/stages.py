"""Which convolutions a network has, which is its stem, and which stage every other one belongs to."""

from itertools import pairwise

from timm.layers import CondConv2d
from torch import nn

from ..layers import DGMConv2d

__all__ = ["CONVOLUTIONS", "convolutions", "stages_of", "stem_names"]

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def convolutions(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return every convolution of a network under each of its names, in module order.

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
        if isinstance(module, (*CONVOLUTIONS, CondConv2d)) or _is_deformable(module)
        if not (inside and name.startswith(inside))
    ]


def stem_names(model: nn.Module) -> tuple[str, ...]:
    """Return all names of the stem convolutions: those in timm's ``first_conv``, or else the first convolution."""
    convs = dict(convolutions(model))
    declared = (getattr(model, "pretrained_cfg", None) or {}).get("first_conv") or ()
    declared = (declared,) if isinstance(declared, str) else tuple(declared)
    # timm's feature extractors rename a.b to a_b
    present = [name for d in declared for name in (d, d.replace(".", "_")) if name in convs]
    stems = [convs[name] for name in present or list(convs)[:1]]
    return tuple(name for name, conv in convs.items() if conv in stems)


def stages_of(model: nn.Module) -> dict[str, int]:
    """Return the stage, counted from 1, of every module that is in one; empty for a network without known stages.

    The stages of a network are given by its attribute ``conv_stages`` (a tuple of tuples of module names, which your
    own network may set), or by timm's ``feature_info``, in which each module ends a stage. The stem, and everything
    else before the first stage, belongs to none.
    """
    names = [name for name, _ in model.named_modules(remove_duplicate=False)]
    if declared := getattr(model, "conv_stages", None):
        roots = [tuple(stage) for stage in declared]
        return {
            name: number
            for number, stage in enumerate(roots, start=1)
            for name in names
            if any(name == root or name.startswith(f"{root}.") for root in stage)
        }
    # timm's feature extractors rename a.b to a_b and leave out what lies behind the last feature wanted
    ends = [end if end in names else end.replace(".", "_") for end in _feature_modules(model)]
    while ends and ends[-1] not in names:
        ends.pop()
    if not ends or not set(ends) <= set(names):
        return {}
    return _split_at(model, names, ends, stem_names(model))


def _is_deformable(module: nn.Module) -> bool:
    # by name, so that torchvision's operators are not imported for it
    return any(cls.__name__ == "DeformConv2d" for cls in type(module).__mro__)


def _feature_modules(model: nn.Module) -> list[str]:
    info = getattr(model, "feature_info", None)
    info = getattr(info, "info", info)  # timm's FeatureInfo wraps the list
    return [str(entry.get("module", "")) for entry in info] if isinstance(info, (list, tuple)) else []


def _split_at(model: nn.Module, names: list[str], ends: list[str], stems: tuple[str, ...]) -> dict[str, int]:
    """Divide the modules after the last descendant of every end; a stem without a stage of its own is left out."""
    last = {end: max(i for i, name in enumerate(names) if name == end or name.startswith(f"{end}.")) for end in ends}
    if any(last[a] >= last[b] for a, b in pairwise(ends)):
        return {}
    first_holds_stage = any(
        isinstance(module, CONVOLUTIONS) and name not in stems and name.startswith(f"{ends[0]}.")
        for name, module in model.named_modules()
    )
    ends = ends if first_holds_stage else ends[1:]
    start = 0 if first_holds_stage else last[next(iter(last))] + 1
    stages = {}
    for number, end in enumerate(ends, start=1):
        for name in names[start : last[end] + 1]:
            if name and name not in stems:
                stages[name] = number
        start = last[end] + 1
    return stages
