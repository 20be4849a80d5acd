"""Tell detectors from other networks, by what a saved one records of itself."""

import json
from pathlib import Path
from typing import Any

from torch import nn

from ..layers import check_network
from .config import CONFIG_NAME, WEIGHTS_NAME
from .named import check_model_name, hub_file, is_timm_name

__all__ = ["holds_detector", "is_detector", "main_network", "refuse_detector", "saved_config"]

_KIND = "detector"


def is_detector(model: nn.Module) -> bool:
    """Tell whether a network is a detector of this package."""
    return (vars(model).get("gmconv_plan") or {}).get("kind") == _KIND


def saved_config(name: str | Path) -> dict[str, Any]:
    """Return the config.json of a saved network; empty if it is not known.

    The network is named as `open_model` takes it, or by the file of weights in its folder.
    """
    folder = Path(str(name).removeprefix("local-dir:"))
    if folder.name == WEIGHTS_NAME:
        name = folder = folder.parent
    try:
        if is_timm_name(str(name)):
            return {}
        check_model_name(str(name))  # not to ask the Hub, again and again, for what is no name on it
        file = folder / CONFIG_NAME if folder.exists() else hub_file(str(name), CONFIG_NAME)
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except Exception:  # opening the network reports what is wrong with the name
        return {}


def holds_detector(name: str | Path) -> bool:
    """Tell whether a name, as `open_model` takes it, is that of a saved detector; False if that is not known."""
    return ((saved_config(name).get("gmconv") or {}).get("plan") or {}).get("kind") == _KIND


def main_network(model: nn.Module) -> nn.Module:
    """Return the network that holds the masks: a detector's backbone without its pyramid, or the network itself."""
    if not is_detector(model):
        return model
    backbone: Any = model.backbone
    return backbone.body


def refuse_detector(model: nn.Module) -> None:
    """Refuse a detector where a classifier is needed.

    Raises:
        TypeError: for an object that is not a network.
        ValueError: for a detector, naming the commands that take one.
    """
    check_network(model)
    if is_detector(model):
        raise ValueError(
            "this network is a detector, not a classifier: gmconv detect finds objects with it, gmconv detect-eval "
            "measures it, gmconv detect-train --weights trains it further, and gmconv draw and gmconv report show it."
        )
