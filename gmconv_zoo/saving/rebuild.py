"""From a config.json to the network it describes, without weights."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
from timm.models import is_model
from torch import nn

from ..conversion import Conversion, convert, has_masks
from ..models._names import MASKED_FAMILIES
from .describe import LABEL_KEYS, NOT_TIMMS

__all__ = ["PLAN_BUILDERS", "build_from_config", "rebuild"]

# Builds a network that recorded how it was made, by the plan's kind. Rooms above this one add theirs in the root.
PLAN_BUILDERS: dict[str, Callable[[dict[str, Any]], nn.Module]] = {}


def rebuild(config: dict[str, Any], folder: Path, model: nn.Module | Callable[[], nn.Module] | None) -> nn.Module:
    """Build the network that a configuration describes, with initial weights; the arguments are those of `load`.

    Raises:
        ValueError: if the network cannot be built, or a model was passed that is not needed.
    """
    architecture, by_hand = _architecture(config)
    if architecture is None:
        plan = by_hand.get("plan") or {}
        if model is None and plan.get("kind") in PLAN_BUILDERS:
            return _converted(PLAN_BUILDERS[plan["kind"]](plan), by_hand, inplace=True)
        if model is None:
            raise ValueError(
                f"{folder} holds a {config.get('class', 'network')} that timm cannot build: pass the plain network, "
                "load(folder, model=MyNet(...))."
            )
        return _converted(model if isinstance(model, nn.Module) else model(), by_hand, inplace=False)
    if model is not None:
        raise ValueError(f"{folder} rebuilds itself as {architecture!r}: leave model out.")
    if not is_model(architecture):
        raise ValueError(
            f"{folder}: timm knows no architecture {architecture!r}. Import the package that registers it first, "
            "or update timm."
        )
    net = build_from_config(config)
    known = {**config.get("pretrained_cfg", {}), **{key: config.get(key) for key in LABEL_KEYS}}
    cfg: Any = net.pretrained_cfg
    cfg.update({key: value for key, value in known.items() if value is not None})
    return net


def build_from_config(config: dict[str, Any]) -> nn.Module:
    """Build the network of a configuration with an architecture, on torch's current default device."""
    architecture, by_hand = _architecture(config)
    recorded = config.get("model_args", {})
    args = {key: value for key, value in recorded.items() if value is not None}
    args.setdefault("num_classes", config.get("num_classes"))
    if architecture.startswith(MASKED_FAMILIES):  # timm drops keywords whose value is None
        args.update({key: "none" for key in ("stem", "body") if recorded.get(key, "") is None})
    net: Any = _converted(timm.create_model(architecture, pretrained=False, **args), by_hand, inplace=True)
    if config.get("folded_masks"):
        net.gmconv_conversion = Conversion(stem=None, body=None)
    return net


def _architecture(config: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the entrypoint's name, None for a network that timm does not know, and what was done after building."""
    by_hand = config.get("gmconv") or {}
    named = config.get("architecture")
    return (by_hand.get("architecture") if named in (None, NOT_TIMMS) else named), by_hand


def _converted(net: nn.Module, by_hand: dict[str, Any], *, inplace: bool) -> nn.Module:
    if by_hand.get("conv_stages"):
        net.conv_stages = tuple(tuple(stage) for stage in by_hand["conv_stages"])  # type: ignore[assignment]
    if by_hand.get("conversion"):
        return _convert(net, by_hand["conversion"], inplace=inplace)
    parts = {name: net.get_submodule(name) for name in by_hand.get("parts", {})}
    plain = {name: part for name, part in parts.items() if not has_masks(part)}  # a builder may convert by itself
    net = net if inplace or not plain else copy.deepcopy(net)
    for name in plain:
        net.set_submodule(name, _convert(net.get_submodule(name), by_hand["parts"][name], inplace=True))
    return net


def _convert(net: nn.Module, values: dict[str, Any], *, inplace: bool) -> nn.Module:
    return convert(net, **Conversion.from_dict(values).to_dict(), preserve=False, inplace=inplace)
