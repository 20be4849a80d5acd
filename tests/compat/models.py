"""The models of the compatibility table, small enough to be tried by every consumer."""

import copy
import functools

import pytest
import torch
from torch import nn

from ..conversion.networks import awake

__all__ = ["CLASSES", "MODELS", "consumer", "images", "model", "side"]

_NETS = ("resnet18", "alexnet", "mobilenetv2", "convnext_atto")
MODELS = tuple(f"{family}_{net}" for net in _NETS for family in ("gmconv", "sgmconv"))
CLASSES = 5


def consumer(title: str):
    """Mark a test as one row of the table; it takes ``name``, one of `MODELS`."""

    def mark(test):
        return pytest.mark.consumer(title)(pytest.mark.parametrize("name", MODELS)(test))

    return mark


_prototype = functools.cache(awake)


def model(name: str) -> nn.Module:
    """A randomised network in eval mode whose dynamic stem depends on the image."""
    return copy.deepcopy(_prototype(name, num_classes=CLASSES))


def side(name: str) -> int:
    """Height and width in pixels of its test images, of which more than one pixel of the last map is left."""
    return next((size for net, size in {"alexnet": 80, "convnext": 64}.items() if net in name), 48)


def images(name: str, batch: int = 3) -> torch.Tensor:
    """Images with different channel means."""
    generator = torch.Generator().manual_seed(batch)
    return torch.randn(batch, 3, side(name), side(name), generator=generator) + torch.arange(batch).reshape(-1, 1, 1, 1)
