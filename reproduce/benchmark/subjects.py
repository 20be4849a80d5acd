"""What is timed: a standard network, its masked twins in every form, and the same network with a peer's stem."""

import copy
from collections.abc import Callable

import timm
from torch import nn

from gmconv_zoo.conversion import convert, fuse
from gmconv_zoo.layers import FORMS, DGMConv2d
from gmconv_zoo.models._names import net_of, plain_name

from .peers import CondConvStem, DeformableStem

__all__ = ["KINDS", "NETS", "STANDARD", "build_subject", "standard_twin"]

STANDARD = "standard"
NETS = tuple(net_of(name) for name in timm.list_models("gmconv_*"))
# kind -> (conversion's keywords, form of the dynamic stem)
_MASKED = {
    "sgmconv": ({"stem": "static"}, None),
    "gmconv": ({"stem": "dynamic"}, None),
    **{f"gmconv {form}": ({"stem": "dynamic"}, form) for form in FORMS},
}
_PEERS: dict[str, Callable[[nn.Conv2d], nn.Module]] = {"condconv stem": CondConvStem, "deformable stem": DeformableStem}
KINDS = (STANDARD, "sgmconv", "sgmconv fused", "gmconv", *(f"gmconv {form}" for form in FORMS), *_PEERS)


def standard_twin(net: str) -> str:
    """The registered name of the plain network that ``gmconv_<net>`` masks.

    Raises:
        ValueError: for a net that is not one of `NETS`.
    """
    if net not in NETS:
        raise ValueError(f"net={net!r}: pass one of {NETS}.")
    return plain_name(net)


def build_subject(net: str, kind: str, *, stem_only: bool = False) -> nn.Module:
    """Build a network, or its stem layer, with random weights.

    Args:
        net: one of `NETS`.
        kind: one of `KINDS`.
        stem_only: return the first layer alone.

    Returns:
        A network or layer on the CPU in float32.

    Raises:
        ValueError: for a net or kind that does not exist.
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}: pass some of {KINDS}.")
    model = timm.create_model(standard_twin(net))
    name = _stem_name(model)
    if stem_only:
        return _changed(copy.deepcopy(model.get_submodule(name)), "", kind)
    return _changed(model, name, kind)


def _changed(model: nn.Module, stem: str, kind: str) -> nn.Module:
    if kind == STANDARD:
        return model
    if kind in _PEERS:
        peer = _PEERS[kind](model.get_submodule(stem))  # type: ignore[arg-type]
        if not stem:
            return peer
        model.set_submodule(stem, peer)
        return model
    if kind == "sgmconv fused":
        return fuse(convert(model, stem="static"))
    options, form = _MASKED[kind]
    model = convert(model, **options)  # type: ignore[arg-type]
    for module in model.modules():
        if isinstance(module, DGMConv2d):
            module.form = form
    return model


def _stem_name(model: nn.Module) -> str:
    first: str = model.pretrained_cfg["first_conv"]  # type: ignore[index, assignment]
    return first
