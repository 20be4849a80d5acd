"""The network that a training starts from, and that of a checkpoint, in every process of a run or in none."""

import logging
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import is_model_pretrained
from torch import nn

from ..engine.checkpoint import BEST_NAME, CHECKPOINTS_FOLDER, LAST_NAME, load_weights
from ..extras import needs_extra
from ..images.data_config import data_config
from ..models._names import tagged_name
from ..saving.detectors import refuse_detector
from ..saving.named import check_model_name, is_timm_name, naming_load_errors, open_model
from ..sigmas import eval_mode

with needs_extra("train"):
    from accelerate.utils import gather_object

__all__ = ["build_network", "find_checkpoints", "open_checkpoint", "open_together", "start_network", "starts_random"]

_logger = logging.getLogger(__name__)


def start_network(model: str, classes: int, **options: Any) -> nn.Module:
    """Return what `build_network` builds, with a warning where the weights are random."""
    if starts_random(model, options):
        _logger.warning("%s starts from random weights", model)
    return build_network(model, classes, **options)


def starts_random(model: str, options: dict[str, Any]) -> bool:
    """Return whether a network starts from random weights, built by `timm.create_model` with these options."""
    return is_timm_name(model) and not options.get("pretrained", is_model_pretrained(model))


def build_network(model: str, classes: int, *, image_size: int | None = None, **options: Any) -> nn.Module:
    """Build a network, named as `open_model` takes it, with a new classifier and pretrained weights if there are any.

    Its images have the given side in pixels; None for its own size. Options are arguments of `timm.create_model`, for a
    name that timm knows. ValueError when the name, the size or the options cannot be had, or there is no classifier to
    replace.
    """
    check_model_name(model)
    net = _of_timm(model, classes, options) if is_timm_name(model) else _opened(model, classes)
    if image_size is not None:
        _take_images_of(net, image_size, model)
    if isinstance(config := getattr(net, "pretrained_cfg", None), dict):
        for key in ("test_input_size", "test_crop_pct"):  # it is used at the size at which training measures it
            config.pop(key, None)
    return net


def _of_timm(model: str, classes: int, options: dict[str, Any]) -> nn.Module:
    pretrained = options.pop("pretrained", is_model_pretrained(model))
    if "num_classes" in options:
        raise ValueError(
            f"num_classes={options['num_classes']!r} (--model-options): leave it out; the data has {classes} classes."
        )
    for name, value in options.items():  # timm's networks take any rate, until the first batch
        if name.endswith("_rate") and not (isinstance(value, (int, float)) and 0 <= value <= 1):
            raise ValueError(f"{name}={value!r}: {model} takes a number from 0 to 1 (--model-options).")
    try:
        with naming_load_errors(model):
            return _checked(timm.create_model(model, pretrained=pretrained, num_classes=classes, **options), classes)
    except Exception:
        if not options:
            raise
        try:
            _checked(timm.create_model(model, num_classes=classes, **options), classes)
        except Exception as error:  # without a download, so that it is the options
            said = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise ValueError(f"{model} does not take the model options {options} (--model-options): {said}") from error
        raise


def _checked(net: nn.Module, classes: int) -> nn.Module:
    """Return a network after checking that it is a classifier of that many classes with a usable configuration."""
    if getattr(net, "num_classes", None) != classes:
        raise ValueError(f"{type(net).__name__} is not a classifier of {classes} classes.")
    data_config(net)
    return net


def _opened(model: str, classes: int) -> nn.Module:
    net = open_model(model)
    refuse_detector(net)
    reset = getattr(net, "reset_classifier", None)
    if not callable(reset):
        raise ValueError(f"{model}: {type(net).__name__} has no classifier to replace.")
    reset(classes)
    config = getattr(net, "pretrained_cfg", None)
    if isinstance(config, dict):  # the old classes' names are not those of the new outputs
        for key in ("label_names", "label_descriptions"):
            config.pop(key, None)
    return net


def _take_images_of(net: nn.Module, side: int, model: str) -> None:
    """Write another image size into a network's configuration, after trying one image of that size."""
    config: Any = net.pretrained_cfg
    channels, height, width = data_config(net)["input_size"]
    if side < 1 or (config.get("fixed_input_size") and (height, width) != (side, side)):
        raise ValueError(f"image_size={side}: pass at least 1 pixel; the size of {model} is {height} (--image-size).")
    try:
        with torch.no_grad(), eval_mode(net):
            net(torch.zeros(1, channels, side, side))
    except RuntimeError as error:
        raise ValueError(
            f"image_size={side} is too small for {model} ({error}): pass a larger size (--image-size)."
        ) from error
    config["input_size"] = (channels, side, side)


def find_checkpoints(folder: str | Path) -> list[Path]:
    """Return a run's best and last checkpoint, as far as they exist, in its folder or its folder of checkpoints."""
    places = (Path(folder), Path(folder) / CHECKPOINTS_FOLDER)
    return [path for place in places for path in (place / BEST_NAME, place / LAST_NAME) if path.is_file()]


def open_checkpoint(path: str | Path) -> nn.Module:
    """Build the network of a run of `train_by_recipe` or `finetune` with a checkpoint's weights, or their average.

    The network is in eval mode, on the CPU, and has its classes' names.

    Raises:
        FileNotFoundError: when the file does not exist.
        ValueError: when the file is not a checkpoint, does not name its network, or the network cannot be built.
        RuntimeError: when the run started from a folder or repository that cannot be had any more.
    """

    def build(identity: dict[str, Any]) -> nn.Module:
        classes = identity.get("classes")
        if "detector" in identity:
            raise ValueError(
                f"{path} is a checkpoint of a detector, not of a classifier: gmconv detect-train --resume continues "
                "from it, and gmconv detect-eval measures the detector that the run ends with."
            )
        if not classes:
            raise ValueError(f"{path} does not name its classes: pass a checkpoint of gmconv train or finetune.")
        start, options = identity.get("start"), identity.get("model options", {})  # of finetune, of train_by_recipe
        if start is None:
            start = tagged_name(identity["model"], identity.get("tag"))
        if Path(start).is_absolute() and not Path(start).exists():
            raise ValueError(
                f"{path} is from a run that started from {start}, which does not exist any more: put it back there, or "
                "pass the folder of the run once it has ended."
            )
        size = identity.get("image size")
        net = build_network(start, len(classes), image_size=size, **{**options, "pretrained": False})
        if isinstance(config := getattr(net, "pretrained_cfg", None), dict):
            config["label_names"] = list(classes)
        return net

    return load_weights(path, build).eval()


def open_together(name: str, weights: str | None = None) -> nn.Module:
    """Open a model or a checkpoint, by its path or any name that `open_model` takes, in every process, or in none.

    The network is in eval mode, on the CPU. Raises what opening it raised, and RuntimeError if only another process
    could not open it.
    """
    error: Exception | None = None
    own: dict[str, Any] = {} if weights is None else {"weights": weights}
    try:
        model = open_checkpoint(name) if Path(name).is_file() else open_model(name, **own)
        refuse_detector(model)
    except Exception as caught:  # raised again once all processes know of it
        error = caught
    opened = gather_object(["" if error is None else str(error)])
    if error is not None:
        raise error
    if failed := next(filter(None, opened), ""):
        raise RuntimeError(f"the model could not be opened in another process: {failed}")
    return model
