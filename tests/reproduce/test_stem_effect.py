import pytest
import torch
from torch import nn

from gmconv_zoo import DGMConv2d
from gmconv_zoo.layers import elliptical_mask
from reproduce.stem_effect import stem_effect


def network():
    """A stem whose sigma is the brightness, and a classifier of how much of the centre its mask lets through."""
    stem = DGMConv2d(1, 1, 3, padding=1, sigma_init=0.3, sigma_design="single", bias=False, hidden_channels=1)
    with torch.no_grad():
        stem.weight.fill_(1.0)
        stem.sigma_module.fc_avg.weight.fill_(1.0)
        stem.sigma_module.fc_max.weight.zero_()
        stem.sigma_module.fc.weight.fill_(1.0)

    class Threshold(nn.Module):
        def forward(self, x):
            share = x[:, 0, 4, 4]
            return torch.stack([torch.full_like(share, 2.0), share], 1)

    return nn.Sequential(stem, Threshold()).eval()


def test_predictions_that_follow_the_sigmas_change_with_them():
    images = torch.tensor([0.0, 3.0]).repeat(4).view(8, 1, 1, 1).repeat(1, 1, 9, 9)
    images[:, :, 3:6, 3:6] = 1.0  # equal centres; bright surroundings make the mask wide
    net = network()
    effect = stem_effect(net, lambda: images.split(3))
    sigma = net[0].sigma_module(images)[0].detach()
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    other = torch.empty_like(sigma)
    other[order] = sigma[order.roll(1)]
    mask = elliptical_mask(other, other, (3, 3))
    share = (mask * images[:, 0, 3:6, 3:6]).sum((1, 2))
    assert effect.changed == int(((share > 2) != (net(images)[:, 1] > 2)).sum()) > 0
    assert effect.count == 8
    assert effect.mask_spread == pytest.approx(net[0].mask(images).std(0, correction=0).max().item())
    assert effect.live == (1.0,)
    assert not net[0].sigma_module._forward_hooks


def test_a_network_without_a_dynamic_stem_and_a_single_image_are_refused():
    with pytest.raises(ValueError, match="0 dynamic layers: pass a network whose only dynamic layer"):
        stem_effect(nn.Linear(2, 2), lambda: [torch.rand(2, 2)])
    with pytest.raises(ValueError, match="1 images: pass at least two"):
        stem_effect(network(), lambda: [torch.rand(1, 1, 9, 9)])
