"""Open the network of a training checkpoint, to evaluate a run before its end or after it was killed."""

from pathlib import Path
from typing import Any

from torch import nn

from ..engine.checkpoint import BEST_NAME, LAST_NAME, load_weights
from .checkpoint_plan import CHECKPOINTS_FOLDER
from .start_network import build_network

__all__ = ["find_checkpoints", "open_checkpoint"]


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
