"""Rename a checkpoint's tensors to the names that a model has, and check every one of them."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from ..wording import listed

__all__ = ["StateDict", "adapt_checkpoint", "rename_by_order", "unusable"]

StateDict = dict[str, Tensor]


def adapt_checkpoint(
    state_dict: StateDict,
    model: nn.Module,
    *,
    declared: Literal["standard", "native"],
    strict: bool = True,
    rename: Callable[[StateDict, nn.Module], StateDict] | None = None,
    first_conv: tuple[str, ...] = (),
    classifier: tuple[str, ...] = (),
) -> StateDict:
    """Make a checkpoint's state dict fit a model, or raise an error that says why it does not.

    Args:
        model: the network it is meant for, plain for a standard checkpoint and with its masks for a native one.
        declared: "standard" for a plain network's weights, "native" for weights that carry their sigmas.
        strict: refuse missing and additional tensors; missing sigmas are refused in any case.
        rename: maps a standard checkpoint's keys to the model's, if its source has other names.
        first_conv: layers whose number of input channels may differ; timm adapts them afterwards.
        classifier: layers that may be missing or of another size, because timm drops them afterwards.

    Raises:
        RuntimeError: for tensors that do not fit or cannot be used, or a file that is not what its spec declares.
    """
    state_dict = dict(state_dict)
    if strays := {key for key, value in state_dict.items() if not isinstance(value, Tensor)}:
        raise RuntimeError(f"the checkpoint holds more than tensors ({listed(strays)}): it is not a state dict.")
    expected = model.state_dict()
    sigmas = {key for key in expected if _is_sigma(key)}
    carried = {key for key in state_dict if _is_sigma(key)}
    if declared == "standard":
        if carried:
            raise RuntimeError(
                f"the checkpoint carries sigmas ({listed(carried)}), but this name stands for a standard network's "
                "weights, which are converted: load the folder or Hub repository of the checkpoint by its own name."
            )
        if rename is not None:
            state_dict = rename(state_dict, model)
    if not expected.keys() & state_dict.keys():
        raise RuntimeError(
            f"no tensor of the checkpoint has a name that the model uses: it has {listed(list(state_dict))}, and the "
            f"model {listed(list(expected))}. Rename the tensors, e.g. remove a prefix from every name."
        )
    missing = sigmas - carried if declared == "native" else set()
    if missing and not carried:
        raise RuntimeError(
            "the checkpoint carries no sigma: it looks like a plain network's. Load it into the plain network and "
            "call gmconv_zoo.convert(...) on that."
        )
    if missing:
        raise RuntimeError(
            f"the checkpoint carries some of the sigmas but not {listed(missing)}: it was saved with another stem, "
            "body or stages, or is damaged. Pass the keywords it was trained with."
        )
    _check(state_dict, expected, strict, first_conv, classifier)
    return state_dict


def rename_by_order(state_dict: StateDict, model: nn.Module) -> StateDict:
    """Give the tensors of a checkpoint with the same layers in the same order the model's names, unless they have them.

    A classifier at the end may have been removed from the model; RuntimeError for another number of tensors.
    """
    keys = list(model.state_dict())
    if set(keys) & set(state_dict):
        return state_dict
    if not any(_is_counter(key) for key in state_dict):
        keys = [key for key in keys if not _is_counter(key)]
    behind = list(state_dict)[len(keys) :]
    if len(state_dict) < len(keys) or not all(key.startswith("classifier.") for key in behind):
        raise RuntimeError(f"the checkpoint holds {len(state_dict)} tensors and the model {len(keys)}.")
    return dict(zip(keys, state_dict.values(), strict=False))


def unusable(state_dict: StateDict, expected: StateDict) -> list[str]:
    """Return a clause about each tensor that holds NaN, infinity, or integers instead of floating-point numbers."""
    bad = [key for key, value in state_dict.items() if not torch.isfinite(value).all()]
    quantised = [
        f"{key} holds {value.dtype} instead of floating-point numbers"
        for key, value in state_dict.items()
        if key in expected and expected[key].is_floating_point() and not value.is_floating_point()
    ]
    return [*(f"{key} has values that are not finite" for key in bad), *quantised]


def _check(
    state_dict: StateDict, expected: StateDict, strict: bool, first_conv: tuple[str, ...], classifier: tuple[str, ...]
) -> None:
    heads = tuple(f"{name}." for name in classifier)
    inputs = {f"{name}.weight" for name in first_conv}
    problems = []
    # BatchNorm counters were added to torch late; load_state_dict fills them in
    optional = (key for key in expected if _is_counter(key))
    missing = set(expected) - set(state_dict) - set(optional) - {k for k in expected if k.startswith(heads)}
    if missing and strict:
        problems.append(f"missing {listed(missing)}")
    extra = {key for key in set(state_dict) - set(expected) if not key.startswith(heads)}
    if extra and strict:
        problems.append(f"unexpected {listed(extra)}")
    for key in expected.keys() & state_dict.keys():
        found, wanted = state_dict[key].shape, expected[key].shape
        if key in inputs and len(found) == len(wanted):
            found, wanted = found[:1] + found[2:], wanted[:1] + wanted[2:]
        if found != wanted and not key.startswith(heads):
            problems.append(f"{key} has shape {tuple(state_dict[key].shape)}, expected {tuple(expected[key].shape)}")
    problems += unusable(state_dict, expected)
    if problems:
        raise RuntimeError("the checkpoint does not fit the model, nothing was loaded: " + "; ".join(problems) + ".")


def _is_counter(key: str) -> bool:
    return key.endswith("num_batches_tracked")


def _is_sigma(key: str) -> bool:
    return key == "sigma" or key.endswith(".sigma") or "sigma_module." in key
