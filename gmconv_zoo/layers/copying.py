"""Copies of networks whose tensors torch computes anew in every forward pass: pruned, normalised, parametrized ones."""

import contextlib
import copy
import textwrap
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm

__all__ = ["check_network", "copy_network", "plain_copy", "take_attributes", "unwrapped"]

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def check_network(model: Any) -> None:
    """Check that a network was passed: TypeError for its name or state dict, ValueError for one that is scripted."""
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"model={textwrap.shorten(repr(model), 80)}: pass a network; timm.create_model builds one from a name, and "
            "gmconv_zoo.load from a folder."
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise ValueError(f"{type(model).__name__} is a scripted network: pass the one that was scripted.")


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the network inside DataParallel, DistributedDataParallel and torch.compile; TypeError for no network."""
    check_network(model)
    # torch.compile's has no public name to import
    while isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)) or (
        type(model).__name__ == "OptimizedModule"
    ):
        (model,) = model.children()
    return model


def copy_network(model: ModuleT) -> ModuleT:
    """Return a deep copy, also of a network with pruned or normalised layers that has been run.

    Such a layer stores the kernel of its last forward pass as an attribute, with the graph it was computed in, which
    `copy.deepcopy` refuses to copy. The copy has its values; the next forward pass computes it again.
    """
    computed = (value for module in model.modules() for value in vars(module).values() if isinstance(value, Tensor))
    copied = copy.deepcopy(model, {id(tensor): tensor.detach().clone() for tensor in computed})
    for old, new in zip(model.parameters(), copied.parameters(), strict=True):
        vars(new).update({**vars(old), **vars(new)})  # a parameter's attributes, which deepcopy drops
    return copied


@torch.no_grad()
def plain_copy(layer: ModuleT) -> ModuleT:
    """Return a copy of a layer whose tensors are plain parameters with the values that they have in eval mode.

    They may be pruned, normalised or parametrized by `torch.nn.utils`. The copy shares the layer's hooks, except those
    that compute these tensors.
    """
    hooks = {id(value): copy.copy(value) for name, value in vars(layer).items() if "hook" in name}
    computed = {id(value): value.detach().clone() for value in vars(layer).values() if isinstance(value, Tensor)}
    plain: Any = copy.deepcopy(layer, {**hooks, **computed}).eval()
    own = dict(plain.named_parameters(recurse=False))
    for name in {key.removesuffix("_orig").removesuffix("_g") for key in own}:
        trainable = any(parameter.requires_grad for key, parameter in own.items() if key.startswith(name))
        for remove in (prune.remove, remove_weight_norm, remove_spectral_norm):
            with contextlib.suppress(ValueError):  # this is not how the tensor is computed
                remove(plain, name)
                plain.get_parameter(name).requires_grad_(trainable)  # of a new parameter, which torch makes trainable
    if parametrize.is_parametrized(plain):
        _settle(plain)
    return plain


def take_attributes(layer: nn.Module, old: nn.Module, *, but: tuple[str, ...] = ()) -> None:
    """Give a layer the hooks of the layer that it replaces, and the attributes that it does not have itself.

    Names with one of the parts in ``but`` are left out, as is what ``torch.compile`` made of the old layer.
    """
    for name, value in old.__getstate__().items():
        if ("hook" in name or not hasattr(layer, name)) and not any(part in name for part in but):
            setattr(layer, name, value)


def _settle(layer: Any) -> None:
    """Replace parametrized tensors by their values; torch's own removal would take them from the original's class."""
    values = {
        name: nn.Parameter(getattr(layer, name), requires_grad=any(p.requires_grad for p in originals.parameters()))
        for name, originals in layer.parametrizations.items()
    }
    layer.__class__ = parametrize.type_before_parametrizations(layer)
    del layer.parametrizations
    for name, value in values.items():
        layer.register_parameter(name, value)
