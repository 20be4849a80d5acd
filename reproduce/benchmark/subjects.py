"""What is timed: a standard network, its masked twins in every form, and the same network with a peer's stem.

The peers are other convolutions that adapt to every sample.
"""

from collections.abc import Callable
from typing import Any

import timm
import torch
from timm.layers import CondConv2d
from torch import Tensor, nn

from gmconv_zoo.conversion import convert, fuse
from gmconv_zoo.detection.dcn import DeformableConv2d
from gmconv_zoo.layers import FORMS, DGMConv2d
from gmconv_zoo.models._names import net_of, plain_name

__all__ = ["KINDS", "NETS", "STANDARD", "build_subject"]

STANDARD = "standard"
NETS = tuple(net_of(name) for name in timm.list_models("gmconv_*"))
_EXPERTS = 4  # kernels that CondConv mixes, timm's default


class _CondConvStem(nn.Module):
    """timm's CondConv2d with its routing: a mixture of kernels for every sample (arXiv 1904.04971)."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.routing = nn.Linear(conv.in_channels, _EXPERTS)
        geometry = {"stride": conv.stride, "padding": conv.padding, "bias": conv.bias is not None}
        channels = conv.in_channels, conv.out_channels
        self.conv = CondConv2d(*channels, conv.kernel_size, num_experts=_EXPERTS, **geometry)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, O, H', W')."""
        return self.conv(x, torch.sigmoid(self.routing(x.mean((2, 3)))))


def _deformable_stem(conv: nn.Conv2d) -> nn.Module:
    """Return a deformable convolution whose offsets are between pixels, as learnt offsets are (arXiv 1703.06211)."""
    stem = DeformableConv2d(conv)
    nn.init.constant_(stem.offset.bias, 0.25)  # type: ignore[arg-type]
    return stem


_PEERS: dict[str, Callable[[nn.Conv2d], nn.Module]] = {
    "condconv stem": _CondConvStem,
    "deformable stem": _deformable_stem,
}
KINDS = (STANDARD, "sgmconv", "sgmconv fused", "gmconv", *(f"gmconv {form}" for form in FORMS), *_PEERS)


def build_subject(net: str, kind: str, *, stem_only: bool = False) -> nn.Module:
    """Build one of `NETS` as one of `KINDS` with random weights, or its first layer alone."""
    model: Any = timm.create_model(plain_name(net))
    stem = model.pretrained_cfg["first_conv"]
    if stem_only:
        model, stem = model.get_submodule(stem), ""
    if kind == STANDARD:
        return model
    if kind in _PEERS:
        peer = _PEERS[kind](model.get_submodule(stem))
        if stem:
            model.set_submodule(stem, peer)
        return model if stem else peer
    if kind == "sgmconv fused":
        return fuse(convert(model, stem="static"))
    family, _, form = kind.partition(" ")
    model = convert(model, stem="dynamic" if family == "gmconv" else "static")
    for module in model.modules():
        if form and isinstance(module, DGMConv2d):
            module.form = form
    return model
