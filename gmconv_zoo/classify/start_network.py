"""The network that a training starts from."""

import logging
from typing import Any

import timm
import torch
from timm.models import is_model_pretrained
from torch import nn

from ..saving.named import check_model_name, is_timm_name, open_model

__all__ = ["build_network", "start_network", "starts_random"]

_logger = logging.getLogger(__name__)


def start_network(model: str, classes: int, **options: Any) -> nn.Module:
    """What `build_network` gives, with a warning where the weights are random."""
    if starts_random(model, options):
        _logger.warning("%s starts from random weights", model)
    return build_network(model, classes, **options)


def starts_random(model: str, options: dict[str, Any]) -> bool:
    """Return whether a network starts from random weights.

    Args:
        model: a name that timm knows, a folder that `gmconv_zoo.save` wrote, or a Hub repository.
        options: arguments of `timm.create_model`.
    """
    return is_timm_name(model) and not options.get("pretrained", is_model_pretrained(model))


def build_network(model: str, classes: int, *, image_size: int | None = None, **options: Any) -> nn.Module:
    """Build a network with a new classifier, and with pretrained weights if there are any.

    Args:
        model: a name that timm knows, a folder that `gmconv_zoo.save` wrote, or a Hub repository.
        classes: number of outputs.
        image_size: side in pixels of the images that the network is to take; None for its own size.
        **options: arguments of `timm.create_model`, for a name that timm knows.

    Raises:
        ValueError: when the name is unknown, the network has no classifier to replace, or it cannot take images of
            that size.
    """
    check_model_name(model)
    net = _of_timm(model, classes, options) if is_timm_name(model) else _opened(model, classes)
    if image_size is not None:
        _take_images_of(net, image_size, model)
    return net


def _of_timm(model: str, classes: int, options: dict[str, Any]) -> nn.Module:
    pretrained = options.pop("pretrained", is_model_pretrained(model))
    try:
        return timm.create_model(model, pretrained=pretrained, num_classes=classes, **options)
    except TypeError as error:  # a keyword that the network does not have
        raise ValueError(f"{model} with {options}: {error}") from error


def _opened(model: str, classes: int) -> nn.Module:
    net = open_model(model)
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
    channels, height, width = config["input_size"]
    if side < 1 or (config.get("fixed_input_size") and (height, width) != (side, side)):
        raise ValueError(f"image_size={side}: pass at least 1 pixel; the size of {model} is {height} (--image-size).")
    training = net.training
    try:
        with torch.no_grad():
            net.eval()(torch.zeros(1, channels, side, side))
    except RuntimeError as error:
        raise ValueError(
            f"image_size={side} is too small for {model} ({error}): pass a larger size (--image-size)."
        ) from error
    net.train(training)
    config["input_size"] = (channels, side, side)
    config.pop("test_input_size", None)
