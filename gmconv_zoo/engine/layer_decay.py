"""Smaller steps for layers further from the output (timm's layer-wise learning-rate decay), sigmas included."""

from typing import Any

from timm.optim import param_groups_layer_decay
from torch import nn

__all__ = ["split_by_layer"]


def split_by_layer(groups: list[dict[str, Any]], model: nn.Module, layer_decay: float) -> list[dict[str, Any]]:
    """Split parameter groups by layer; timm's schedulers multiply a group's learning rate by its "lr_scale".

    Args:
        groups: from `gmconv_zoo.param_groups`.
        model: the network, whose `group_matcher` says what a layer is; without one timm groups by name.
        layer_decay: in (0, 1]; the last layer's scale is 1, every earlier layer's this much smaller.

    Returns:
        More groups, each with the settings of the one it is from and "lr_scale".
    """
    scales = {
        id(parameter): group["lr_scale"]
        for group in param_groups_layer_decay(model, layer_decay=layer_decay)
        for parameter in group["params"]
    }
    split = []
    for group in groups:
        by_scale: dict[float, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            by_scale.setdefault(scales[id(parameter)], []).append(parameter)
        split += [{**group, "params": params, "lr_scale": scale} for scale, params in by_scale.items()]
    return split
