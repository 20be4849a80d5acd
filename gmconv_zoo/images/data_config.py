"""How a network takes its images: timm's configuration, with the number of channels that the network itself has."""

from collections.abc import Callable
from math import isfinite
from statistics import fmean
from typing import Any

from timm.data import resolve_model_data_config
from torch import nn

__all__ = ["data_config"]

# A first convolution with more input channels than these takes rearranged pixels, as those of TResNet and CSATv2 do.
_MOST_CHANNELS = 15
_MODES, _CROPS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"), ("center", "squash", "border")


def _are(values: Any, *kinds: type) -> bool:
    """Tell whether a value is a list of finite numbers of these kinds, with at least one."""
    listed = isinstance(values, (list, tuple)) and len(values) > 0
    return listed and all(isinstance(value, kinds) for value in values) and isfinite(sum(values))


# What timm's transforms take, in words and as a test.
_ALLOWED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "input_size": (
        "3 whole numbers above 0: channels, height and width",
        lambda value: _are(value, int) and len(value) == 3 and min(value) > 0,
    ),
    "mean": ("a list of numbers", lambda value: _are(value, int, float)),
    "std": ("a list of numbers above 0", lambda value: _are(value, int, float) and min(value) > 0),
    "crop_pct": ("a number above 0", lambda value: isinstance(value, (int, float)) and value > 0),
    "crop_mode": (f"one of {', '.join(_CROPS)}", lambda value: value in _CROPS),
    "interpolation": (f"one of {', '.join(_MODES)}", lambda value: value in _MODES),
}


def data_config(model: nn.Module, **options: Any) -> dict[str, Any]:
    """Return timm's configuration of a network's images; options as in timm's `resolve_model_data_config`.

    A network that was created with in_chans keeps the size, mean and deviation of three channels in its configuration
    until it is saved. Here it has them for its own channels, as timm writes them on saving.

    Raises:
        ValueError: for a value that no images can be prepared with, naming its key.
    """
    config = resolve_model_data_config(model, **options)
    for name, (allowed, fits) in _ALLOWED.items():
        if not fits(config[name]):
            raise ValueError(f"{name} is {config[name]!r}; it must be {allowed}.")
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    channels, *size = config["input_size"]
    if first is not None and first.in_channels <= _MOST_CHANNELS:
        channels = first.in_channels
    config["input_size"] = (channels, *size)
    for name in ("mean", "std"):
        if len(config[name]) not in (1, 3, channels):
            raise ValueError(f"{name} has {len(config[name])} values; it must have 1 or {channels}, one per channel.")
        if len(config[name]) != channels:
            config[name] = (fmean(config[name]),) * channels
    return config
