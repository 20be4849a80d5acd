"""One file for nested values that hold tensors: safetensors for the tensors, JSON for all else, replaced as a whole."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .replacing import replacing

__all__ = ["read_state", "write_state"]

_META = "state"
_TENSOR, _DICT = "tensor", "dict"


def write_state(path: str | Path, state: dict[str, Any]) -> None:
    """Write a file that at every moment is the earlier one or the whole new one, also through a loss of power.

    The state is made of dicts, lists, numbers, strings, booleans, None and tensors; tuples come back as lists. The
    tensors' names in the file are the keys that lead to them, joined by "/". TypeError for any other value, and OSError
    when the disk is full or the folder cannot be written; the earlier file is untouched then.
    """
    tensors: dict[str, Tensor] = {}
    structure = _flatten(state, "", tensors)
    with replacing(Path(path), sync=True) as scratch:
        scratch.write_bytes(save(tensors, {"format": "pt", _META: json.dumps(structure)}))


def read_state(path: str | Path) -> dict[str, Any]:
    """Read what `write_state` wrote, with its tensors on the CPU.

    Raises:
        FileNotFoundError: when the file does not exist.
        ValueError: when the file is not a checkpoint or is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            structure = json.loads((file.metadata() or {})[_META])
            return _restore(structure, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is not a checkpoint of gmconv_zoo, or it is damaged ({error}). If it holds weights only, pass the "
            "folder of its network, or a model that timm knows with this file as its weights (--weights)."
        ) from error


def _flatten(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """JSON for a value; its tensors are put aside under their names. Dicts become pairs: their keys may be numbers."""
    if isinstance(value, Tensor):
        # a copy of its own: safetensors refuses tensors that share memory
        tensors[name] = value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        return {_TENSOR: name}
    if isinstance(value, dict):
        return {_DICT: [[key, _flatten(item, f"{name}/{key}".lstrip("/"), tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_flatten(item, f"{name}/{index}", tensors) for index, item in enumerate(value)]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{name}: {type(value).__name__} cannot be kept in a checkpoint.")


def _restore(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_restore(item, tensors) for item in value]
    if isinstance(value, dict):
        if _TENSOR in value:
            return tensors[value[_TENSOR]]
        return {key: _restore(item, tensors) for key, item in value[_DICT]}
    return value
