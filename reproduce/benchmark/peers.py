"""Other convolutions that adapt to every sample, as stems: the peers that a dynamic mask is timed beside."""

import math

import torch
from timm.layers import CondConv2d
from torch import Tensor, nn
from torchvision.ops import DeformConv2d

__all__ = ["CondConvStem", "DeformableStem"]


class CondConvStem(nn.Module):
    """timm's CondConv2d with its routing: a mixture of kernels for every sample (arXiv 1904.04971).

    Args:
        conv: the standard convolution it takes the place of.
        experts: number of kernels mixed, timm's default.
    """

    def __init__(self, conv: nn.Conv2d, experts: int = 4) -> None:
        super().__init__()
        self.routing = nn.Linear(conv.in_channels, experts)
        self.conv = CondConv2d(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,  # type: ignore[arg-type]
            stride=conv.stride,  # type: ignore[arg-type]
            padding=conv.padding,  # type: ignore[arg-type]
            bias=conv.bias is not None,
            num_experts=experts,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, O, H', W')."""
        return self.conv(x, torch.sigmoid(self.routing(x.mean((2, 3)))))


class DeformableStem(nn.Module):
    """torchvision's DeformConv2d with offsets from a convolution of the same geometry (arXiv 1703.06211).

    Args:
        conv: the standard convolution it takes the place of.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        taps = math.prod(conv.kernel_size)
        geometry = {"stride": conv.stride, "padding": conv.padding}
        self.offsets = nn.Conv2d(conv.in_channels, 2 * taps, conv.kernel_size, **geometry)  # type: ignore[arg-type]
        nn.init.zeros_(self.offsets.weight)
        nn.init.constant_(self.offsets.bias, 0.25)  # type: ignore[arg-type]  # between pixels, as learnt offsets are
        self.conv = DeformConv2d(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,  # type: ignore[arg-type]
            bias=conv.bias is not None,
            **geometry,  # type: ignore[arg-type]
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, O, H', W')."""
        return self.conv(x, self.offsets(x))
