"""Open the network of a training checkpoint, or of any other name, in every process of a run or in none."""

import zlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..engine.checkpoint import BEST_NAME, CHECKPOINTS_FOLDER, LAST_NAME, load_weights
from ..engine.extras import needs_extra
from ..saving.named import open_model
from .start_network import build_network

with needs_extra("train"):
    from accelerate.utils import gather_object

__all__ = ["find_checkpoints", "open_checkpoint", "open_together"]


def find_checkpoints(folder: str | Path) -> list[Path]:
    """The checkpoints of a run.

    Args:
        folder: the run's own or its folder of checkpoints.

    Returns:
        The best and the last, where they are there.
    """
    places = (Path(folder), Path(folder) / CHECKPOINTS_FOLDER)
    return [path for place in places for path in (place / BEST_NAME, place / LAST_NAME) if path.is_file()]


def open_checkpoint(path: str | Path) -> nn.Module:
    """Build the network of a run of `train_by_recipe` or `finetune` with a checkpoint's weights.

    Args:
        path: of the file. Weights are their running average where the run keeps one.

    Returns:
        The network in eval mode, on the CPU, with its classes' names.

    Raises:
        FileNotFoundError: when the file does not exist.
        ValueError: when the file is not a checkpoint, does not name its network, or the network cannot be built.
        RuntimeError: when the run started from a folder or repository that cannot be had any more.
    """

    def build(identity: dict[str, Any]) -> nn.Module:
        classes = identity.get("classes")
        if not classes:
            raise ValueError(f"{path} does not name its classes: pass a checkpoint of gmconv train or finetune.")
        start, options = identity.get("start"), identity.get("model options", {})  # of finetune, of train_by_recipe
        if start is None:
            start = ".".join(filter(None, (identity["model"], identity.get("tag"))))
        size = identity.get("image size")
        net = build_network(start, len(classes), image_size=size, **{**options, "pretrained": False})
        if isinstance(config := getattr(net, "pretrained_cfg", None), dict):
            config["label_names"] = list(classes)
        return net

    return load_weights(path, build).eval()


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
