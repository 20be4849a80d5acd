"""The models that other people's software is tried with, small and with masks that have been trained."""

import copy
import functools

import timm
import torch
from torch import nn

from gmconv_zoo import DGMConv2d
from tests.conversion.networks import randomised

__all__ = ["MODELS", "create", "images", "plain_twin"]

MODELS = [f"{family}_{net}" for net in ("resnet18", "alexnet", "mobilenetv2") for family in ("gmconv", "sgmconv")]
CLASSES, SIZE = 5, 64


@functools.cache
def _prototype(name: str) -> nn.Module:
    torch.manual_seed(0)
    net = randomised(timm.create_model(name, num_classes=CLASSES))
    for module in net.modules():
        if isinstance(module, DGMConv2d):  # so that every image has a mask of its own
            nn.init.normal_(module.sigma_module.fc.weight, std=0.3)
    return net.eval()


def create(name: str) -> nn.Module:
    """A network of one's own, in eval mode, with `CLASSES` outputs."""
    return copy.deepcopy(_prototype(name))


def plain_twin(name: str) -> str:
    """The name of the network without masks."""
    net = name.partition("_")[2]
    return {"mobilenetv2": "mobilenetv2_100", "alexnet": "stdconv_alexnet"}.get(net, net)


def images(batch: int = 3, size: int = SIZE) -> torch.Tensor:
    """(B, 3, size, size) samples with different channel means, the same ones every time."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, 3, size, size, generator=generator) + torch.arange(batch).reshape(-1, 1, 1, 1)
