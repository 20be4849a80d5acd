"""Deformable convolution begins as the convolution it replaces, moves its taps by offsets, and works in bfloat16."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gmconv_zoo.detection.dcn import DeformableConv2d, deform_stages

CASES = [{"padding": 1}, {"padding": 1, "stride": 2, "bias": False}, {"padding": 2, "dilation": 2, "groups": 2}]


@pytest.mark.parametrize("modulated", [False, True])
@pytest.mark.parametrize("geometry", CASES, ids=str)
def test_it_begins_as_the_convolution_it_replaces(geometry, modulated):
    conv = nn.Conv2d(4, 6, 3, **geometry)
    layer = DeformableConv2d(conv, modulated=modulated)
    x = torch.randn(2, 4, 9, 8)
    torch.testing.assert_close(layer(x), conv(x))
    assert layer.weight is conv.weight
    layer(x).square().sum().backward()
    assert layer.offset.weight.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in DeformableConv2d(conv.requires_grad_(False)).parameters())


def test_a_convolution_that_pads_with_the_image_is_not_replaced():
    body = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"))
    with pytest.raises(ValueError, match=r"stages \[1\] have no plain 3x3 convolution"):
        deform_stages(body, {"0": 1}, (1,), version=1)


def test_offsets_are_rows_then_columns_and_modulation_scales_taps():
    conv = nn.Conv2d(2, 3, 3, padding=1)
    layer = DeformableConv2d(conv, modulated=True)
    with torch.no_grad():
        layer.offset.bias[:18] = torch.tensor([1.0, 2.0]).repeat(9)  # every tap one row down and two columns right
        layer.offset.bias[18:] = torch.tensor(3.0).log()  # 2 * sigmoid(log 3) = 1.5
    x = torch.randn(1, 2, 8, 8)
    shifted = F.pad(x, (0, 2, 0, 1))[..., 1:, 2:]
    wanted = conv(shifted) * 1.5 - conv.bias.view(3, 1, 1) * 0.5
    torch.testing.assert_close(layer(x)[..., 1:-1, 1:-1], wanted[..., 1:-1, 1:-1])


@pytest.mark.parametrize("autocast", [True, False])
def test_bfloat16_is_computed_in_float32(autocast):
    layer = DeformableConv2d(nn.Conv2d(4, 4, 3, padding=1))
    nn.init.normal_(layer.offset.weight, std=0.5)
    x = torch.randn(1, 4, 8, 8).bfloat16()
    if not autocast:
        layer.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = layer(x)
    assert found.dtype == torch.bfloat16
    if autocast:
        torch.testing.assert_close(found, layer(x.float()).bfloat16(), rtol=0, atol=0)
