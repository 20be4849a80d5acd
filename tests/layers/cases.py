"""Geometries that every convolution layer is tried with: odd, even, non-square, strided, grouped, dilated, padded."""

from timm.layers import Conv2dSame
from torch import nn

IN, OUT = 4, 8

GEOMETRIES = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 4, "stride": 2, "bias": False},
    {"kernel_size": (5, 2), "stride": (2, 1), "padding": (2, 0), "groups": 2, "dilation": (1, 2)},
    {"kernel_size": (1, 5), "padding": (0, 2)},
    {"kernel_size": 3, "padding": "same", "dilation": 2},
    {"kernel_size": 4, "padding": "same"},
    {"kernel_size": 3, "padding": "valid"},
    {"kernel_size": 3, "padding": 1, "padding_mode": "circular"},
    {"kernel_size": 3, "padding": 1, "padding_mode": "reflect", "bias": False},
    {"kernel_size": 3, "padding": "same", "padding_mode": "replicate"},
    {"kernel_size": 3, "padding": 1, "groups": 4},
    {"kernel_size": 7, "stride": 2, "padding": 3},
]

# padding that follows the image's size, which torch's own layer refuses; timm's Conv2dSame does it
SAME_WITH_STRIDE = {"kernel_size": (5, 4), "stride": (2, 3), "padding": "same", "dilation": (1, 2), "groups": 2}
SAMES = [
    {**SAME_WITH_STRIDE, **change} for change in ({}, {"dilation": 1}, {"stride": (1, 3), "groups": 1, "bias": False})
]


def plain_layer(geometry: dict, **kwargs) -> nn.Conv2d:
    """torch's own layer, or timm's where it has to be."""
    if geometry in SAMES:
        return Conv2dSame(IN, OUT, **{**geometry, "padding": 0}, **kwargs)
    return nn.Conv2d(IN, OUT, **geometry, **kwargs)
