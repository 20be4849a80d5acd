"""torch's own two files: a TorchScript archive and an exported program."""

import json
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .metadata import METADATA_FILE
from .prepare import outputs_of

__all__ = ["read_exported", "read_torchscript", "write_exported", "write_torchscript"]


def write_torchscript(net: nn.Module, path: Path, described: dict[str, Any]) -> None:
    """Script a network; any batch and image size that the network itself takes then works."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(net)
        torch.jit.save(scripted, str(path), _extra_files={METADATA_FILE: json.dumps(described)})


def write_exported(
    net: nn.Module, images: Tensor, path: Path, shapes: dict[int, Any], described: dict[str, Any]
) -> None:
    """Export a network with `torch.export`, for a (B, C, H, W) example and its dynamic dimensions by axis."""
    with torch.no_grad():
        program = torch.export.export(net, (images,), dynamic_shapes=(shapes,))
    torch.export.save(program, str(path), extra_files={METADATA_FILE: json.dumps(described)})


def read_torchscript(path: Path) -> Callable[[Tensor], list[Tensor]]:
    """A function from images (B, C, H, W) to the list of outputs of a TorchScript file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return partial(outputs_of, torch.jit.load(str(path), map_location="cpu"))


def read_exported(path: Path) -> Callable[[Tensor], list[Tensor]]:
    """A function from images (B, C, H, W) to the list of outputs of an exported program."""
    return partial(outputs_of, torch.export.load(str(path)).module())
