"""CIFAR sets, stored as lossless sheets of 32x32 images next to an index of labels, and a public network for one."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import Tensor, nn

import gmconv_zoo  # noqa: F401  registers the models

__all__ = ["CORRECT", "DATA", "load_cifar10", "needs_cifar10", "prepared", "public_resnet20"]

DATA = Path(__file__).parents[2] / "shared" / "data"
_CHECKPOINT = DATA / "weights" / "cifar10_resnet20-12fca82f.th"
_STATISTICS = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
CORRECT = 9173  # of 10,000 test images, as published with the checkpoint
needs_cifar10 = pytest.mark.skipif(
    not (_CHECKPOINT.exists() and (DATA / "cifar10").exists()),
    reason=f"needs the public checkpoint and CIFAR-10 under {DATA}",
)


def public_resnet20() -> nn.Module:
    """A public ResNet-20 for CIFAR-10, with its preprocessing."""
    tensors = torch.load(_CHECKPOINT, weights_only=True, map_location="cpu")["state_dict"]
    names = {key: key.removeprefix("module.").replace("linear.", "fc.") for key in tensors}
    net = timm.create_model("stdconv_cifar_resnet20").eval()
    net.load_state_dict({names[key]: value for key, value in tensors.items()})
    net.pretrained_cfg.update(_STATISTICS)
    return net


def prepared(pixels: Tensor) -> Tensor:
    """Images of CIFAR-10 as the public network takes them."""
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in _STATISTICS.values())
    return (pixels / 255 - mean) / std


def load_cifar10(split: str) -> tuple[Tensor, Tensor]:
    """The (B, 3, 32, 32) images in bytes and the labels of "train" or "test", from sheets that are grids row by row."""
    folder = DATA / "cifar10"
    index = json.loads((folder / "index.json").read_text())
    grid, (height, width), part = index["grid"], index["image_size"], index["splits"][split]
    images = []
    for name in part["sheets"]:
        sheet = torch.from_numpy(np.array(Image.open(folder / name).convert("RGB")))
        tiles = sheet.reshape(grid, height, grid, width, 3).permute(0, 2, 4, 1, 3)
        images.append(tiles.reshape(-1, 3, height, width))
    return torch.cat(images)[: part["count"]].contiguous(), torch.tensor(part["labels"])
