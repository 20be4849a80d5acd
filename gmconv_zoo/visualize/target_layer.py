"""Find the layer whose receptive field is wanted: by name, by stage, or the network's last one."""

import difflib

from torch import nn

from ..conversion.plan import convolutions
from ..conversion.stages import stage_of_modules, stem_names

__all__ = ["target_layer"]

_SHOWN = 5


def target_layer(model: nn.Module, layer: str | int | None = None) -> tuple[str, nn.Module]:
    """Return the name and module of a layer.

    Args:
        model: any network.
        layer: a module's name, the number of a stage counted from 1, or None for the last stage. Where a network has
            no known stages, None is its last convolution.

    Raises:
        ValueError: when the network has no such layer or stage; the message names some that exist.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    if isinstance(layer, str):
        if layer in modules:
            return layer, modules[layer]
        names = [name for name in modules if name]
        close = difflib.get_close_matches(layer, names, _SHOWN, cutoff=0.4) or names[:_SHOWN]
        raise ValueError(
            f"layer={layer!r}: {type(model).__name__} has no such layer. Pass the name of a module, for example "
            f"{', '.join(map(repr, close))}, or the number of a stage."
        )
    stages, last = _stages(model)
    if layer is None:
        name = _end(stages, max(stages.values())) if stages else last
        return name, modules[name]
    depth = max(stages.values(), default=0)
    if not 1 <= layer <= depth:
        allowed = f"stages 1 to {depth}" if depth else "no known stages: pass the name of a module"
        raise ValueError(f"layer={layer}: {type(model).__name__} has {allowed}, for example {last!r}.")
    name = _end(stages, layer)
    return name, modules[name]


def _stages(model: nn.Module) -> tuple[dict[str, int], str]:
    """The stage of every module that is in one, and the name of the last convolution."""
    convs = [name for name, _ in convolutions(model)]
    if not convs:
        raise ValueError(f"{type(model).__name__} has no convolution: pass the name of a module as layer.")
    return stage_of_modules(model, stem_names(model, convs)) or {}, convs[-1]


def _end(stages: dict[str, int], number: int) -> str:
    """The name of the largest module that ends with a stage and has no part in another."""
    end = [name for name, stage in stages.items() if stage == number][-1]
    while "." in end:
        parent = end.rpartition(".")[0]
        inside = {stage for name, stage in stages.items() if name.startswith(f"{parent}.")}
        if inside != {number} or parent not in stages:
            break
        end = parent
    return end
