"""The same network in every process of a run, or in none."""

import zlib
from pathlib import Path

import torch
from torch import nn

from ..engine.extras import needs_extra
from ..saving.named import open_model
from .open_checkpoint import open_checkpoint

with needs_extra("train"):
    from accelerate.utils import gather_object

__all__ = ["open_together"]


def open_together(name: str) -> nn.Module:
    """Open a model or a checkpoint in every process, or in none.

    Args:
        name: a checkpoint's path, or anything `open_model` takes.

    Returns:
        The network in eval mode, on the CPU.

    Raises:
        RuntimeError: when another process could not open it, or read other weights because a training goes on.
        Exception: what opening it raised here.
    """
    checkpoint = Path(name).is_file()
    model, error = None, None
    try:
        model = open_checkpoint(name) if checkpoint else open_model(name)
    except Exception as caught:  # raised again once all processes know of it
        error = caught
    read = _checksum(model) if checkpoint and model is not None else 0
    opened = gather_object([("" if error is None else str(error), read)])
    if error is not None:
        raise error
    if failed := [text for text, _ in opened if text]:
        raise RuntimeError(f"the model could not be opened in another process: {failed[0]}")
    if len({checksum for _, checksum in opened}) > 1:
        raise RuntimeError(f"{name} was replaced while the processes read it, as a training goes on: try again.")
    assert model is not None
    return model


def _checksum(model: nn.Module) -> int:
    """Of the bytes of all weights, which reading a file does not change."""
    checksum = 0
    for value in model.state_dict().values():
        checksum = zlib.crc32(value.contiguous().reshape(-1).view(torch.uint8).numpy(), checksum)
    return checksum
