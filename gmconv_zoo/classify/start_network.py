"""The network that a training starts from."""

import logging
from pathlib import Path
from typing import Any

import timm
from timm.models import is_model, is_model_pretrained, split_model_name_tag
from torch import nn

from ..saving.named import open_model

__all__ = ["build_network", "start_network"]

_logger = logging.getLogger(__name__)


def start_network(model: str, classes: int, **options: Any) -> nn.Module:
    """What `build_network` gives, with a warning where the weights are random."""
    if _is_of_timm(model) and not options.get("pretrained", is_model_pretrained(model)):
        _logger.warning("%s starts from random weights", model)
    return build_network(model, classes, **options)


def build_network(model: str, classes: int, **options: Any) -> nn.Module:
    """A network with pretrained weights where there are any, and a new classifier.

    Args:
        model: a name timm knows, a folder that `gmconv_zoo.save` wrote or a Hub repository.
        classes: outputs.
        **options: for `timm.create_model`, with a name timm knows.

    Raises:
        ValueError: when the name is none of these, or the network has no classifier to replace.
    """
    if _is_of_timm(model):
        pretrained = options.pop("pretrained", is_model_pretrained(model))
        try:
            return timm.create_model(model, pretrained=pretrained, num_classes=classes, **options)
        except TypeError as error:  # a keyword that the network does not have
            raise ValueError(f"{model} with {options}: {error}") from error
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


def _is_of_timm(model: str) -> bool:
    return bool(is_model(split_model_name_tag(model)[0])) and not Path(model).is_dir()
