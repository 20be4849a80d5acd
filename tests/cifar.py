"""Reads CIFAR sets stored as lossless sheets of 32x32 images beside an index of labels."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

__all__ = ["DATA", "load_cifar10"]

DATA = Path(__file__).parents[2] / "shared" / "data"


def load_cifar10(split: str, *, folder: Path = DATA / "cifar10") -> tuple[Tensor, Tensor]:
    """The images and labels of a split.

    Args:
        split: "train" or "test".
        folder: holds index.json and the sheets, each a grid of images row by row.

    Returns:
        (B, 3, 32, 32) uint8 and (B,) int64.
    """
    index = json.loads((folder / "index.json").read_text())
    grid, (height, width), part = index["grid"], index["image_size"], index["splits"][split]
    images = []
    for name in part["sheets"]:
        sheet = torch.from_numpy(np.array(Image.open(folder / name).convert("RGB")))
        tiles = sheet.reshape(grid, height, grid, width, 3).permute(0, 2, 4, 1, 3)
        images.append(tiles.reshape(-1, 3, height, width))
    return torch.cat(images)[: part["count"]].contiguous(), torch.tensor(part["labels"])
