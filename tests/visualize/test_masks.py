import pytest
import torch
from torch import nn

from gmconv_zoo.visualize.masks import layer_masks
from tests.engine.nets import tiny_net


def images():
    return torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_layer_masks_are_the_masks_the_layers_apply():
    net = tiny_net()
    with torch.no_grad():
        net[2].sigma.fill_(-0.8)
        net[0].sigma_module.fc.bias.copy_(torch.tensor([1.5, 0.5]))  # the same for every image
    stem, body = layer_masks(net, images())
    assert (stem.name, stem.dynamic, body.name, body.dynamic) == ("0", True, "2", False)
    torch.testing.assert_close(body.values(), net[2].mask().detach())
    torch.testing.assert_close(stem.values(), net[0].mask(images())[0].detach())
    assert (stem.horizontal, stem.vertical) == pytest.approx((1.5, 0.75))


def test_a_network_without_masks_or_a_dynamic_one_without_images_is_refused():
    with pytest.raises(ValueError, match="no Gaussian mask"):
        layer_masks(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="pass images"):
        layer_masks(tiny_net())
