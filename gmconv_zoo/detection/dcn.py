"""Deformable convolution in a backbone (Dai et al. 2017, arXiv 1703.06211; modulated: arXiv 1811.11168)."""

import torch
from torch import Tensor, nn
from torchvision.ops import DeformConv2d, deform_conv2d

from ..layers import DGMConv2d, SGMConv2d

__all__ = ["DeformableConv2d", "deform_stages"]


class DeformableConv2d(DeformConv2d):
    """Convolution whose taps are moved by offsets that it computes from its input.

    The offsets start at zero, so that it begins as the convolution that it replaces. The modulated version (v2)
    multiplies each tap by 2 * sigmoid(m), which starts at 1.

    It always computes in float32 or wider, with autocast off: torchvision has no bfloat16 kernel for it, and an offset
    of several pixels keeps no fraction in 8 bits. The output has the input's dtype.

    Args:
        conv: 3x3 convolution to replace; its weight and bias are shared with the new layer.
        modulated: whether to use version 2.
    """

    def __init__(self, conv: nn.Conv2d, *, modulated: bool = False) -> None:
        geometry = (conv.kernel_size, conv.stride, conv.padding, conv.dilation)
        super().__init__(conv.in_channels, conv.out_channels, *geometry, groups=conv.groups, bias=False)  # type: ignore[arg-type]
        self.weight, self.bias = conv.weight, conv.bias
        self.modulated = modulated
        outputs = (3 if modulated else 2) * conv.kernel_size[0] * conv.kernel_size[1]
        like = {"device": conv.weight.device, "dtype": conv.weight.dtype}
        self.offset = nn.Conv2d(conv.in_channels, outputs, *geometry, **like)  # type: ignore[arg-type]
        for parameter in self.offset.parameters():
            nn.init.zeros_(parameter).requires_grad_(conv.weight.requires_grad)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """(B, I, H, W) to (B, O, H', W')."""
        with torch.autocast(x.device.type, enabled=False):
            moved = self.offset(x.to(self.offset.weight.dtype))
            wide = torch.promote_types(x.dtype, torch.float32)
            mask = None
            if self.modulated:
                moved, modulation = moved.tensor_split([moved.shape[1] // 3 * 2], dim=1)
                mask = 2 * modulation.to(wide).sigmoid()
            y = deform_conv2d(
                x.to(wide),
                moved.to(wide),
                self.weight.to(wide),
                None if self.bias is None else self.bias.to(wide),
                stride=self.stride,
                padding=self.padding,
                dilation=self.dilation,
                mask=mask,
            )
        return y.to(x.dtype)


def deform_stages(body: nn.Module, stages: dict[str, int], chosen: tuple[int, ...], *, version: int) -> None:
    """Replace the 3x3 convolutions of chosen stages by deformable ones with the same weights, in place.

    ``stages`` are those of every module of the backbone, whose Gaussian masks may be in other stages only; version 2 is
    the modulated convolution.

    Raises:
        ValueError: for a stage that does not exist, has no plain 3x3 convolution or holds masks.
    """
    there = sorted(set(stages.values()))
    if not set(chosen) <= set(there):
        raise ValueError(
            f"dcn_stages={chosen}: the backbone has stages {there}; pass a subset of them, e.g. (2, 3, 4)."
        )
    layers = {name: module for name, module in body.named_modules() if stages.get(name) in chosen}
    if any(isinstance(layer, (SGMConv2d, DGMConv2d)) for layer in layers.values()):
        raise ValueError(
            f"dcn_stages={chosen}: these stages hold Gaussian masks, and a convolution carries one or the other. Pass "
            f"the other stages as stages, e.g. stages=(1,), dcn_stages=(2, 3, 4)."
        )
    replaced = set()
    for name, layer in layers.items():
        # a deformable convolution pads with zeros
        if type(layer) is nn.Conv2d and layer.kernel_size == (3, 3) and layer.padding_mode == "zeros":
            body.set_submodule(name, DeformableConv2d(layer, modulated=version == 2))
            replaced.add(stages[name])
    if without := sorted(set(chosen) - replaced):
        raise ValueError(f"dcn_stages={chosen}: stages {without} have no plain 3x3 convolution.")
