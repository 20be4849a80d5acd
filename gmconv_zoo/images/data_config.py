"""How a network takes its images: timm's configuration, with the number of channels that the network itself has."""

from statistics import fmean
from typing import Any

from timm.data import resolve_model_data_config
from torch import nn

__all__ = ["data_config"]

# A first convolution with more input channels than these takes rearranged pixels, as those of TResNet and CSATv2 do.
_MOST_CHANNELS = 15


def data_config(model: nn.Module, **options: Any) -> dict[str, Any]:
    """Return timm's configuration of a network's images; options as in timm's `resolve_model_data_config`.

    A network that was created with in_chans keeps the size, mean and deviation of three channels in its configuration
    until it is saved. Here it has them for its own channels, as timm writes them on saving.
    """
    config = resolve_model_data_config(model, **options)
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    channels, *size = config["input_size"]
    if first is not None and first.in_channels <= _MOST_CHANNELS:
        channels = first.in_channels
    config["input_size"] = (channels, *size)
    for name in ("mean", "std"):
        if len(config[name]) != channels:
            config[name] = (fmean(config[name]),) * channels
    return config
