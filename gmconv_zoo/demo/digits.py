"""scikit-learn's handwritten digits: 1,797 real 8x8 scans, as 32x32 RGB images with a validation set."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..extras import needs_extra

with needs_extra("demo"):
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

__all__ = ["HELD_OUT_IMAGES", "Digits", "digits"]

HELD_OUT_IMAGES = 450
# The split is part of the dataset: the validation images are the same for every seed of the training.
_SPLIT_SEED = 0


class Digits(NamedTuple):
    """Images as (N, 3, 32, 32) uint8 and labels as (N,) int64, of the training and the validation set."""

    train_images: Tensor
    train_labels: Tensor
    held_out_images: Tensor
    held_out_labels: Tensor


def digits(images: int | None = None) -> Digits:
    """Return the digits, split into training and validation images with the same share of every class.

    Args:
        images: number of images to use, a quarter of them for validation; None for all 1,797.

    Raises:
        ValueError: for fewer than 80 images, with which a class has fewer than two for validation, or too many.
    """
    data = load_digits()
    total = len(data.target)
    if images is not None and not 80 <= images <= total:
        raise ValueError(f"images={images}: pass 80 to {total}, or None for all.")
    chosen, held_out = np.arange(total), HELD_OUT_IMAGES
    if images is not None and images < total:
        chosen, _ = train_test_split(chosen, train_size=images, random_state=_SPLIT_SEED, stratify=data.target)
        held_out = images // 4
    split = {"test_size": held_out, "random_state": _SPLIT_SEED, "stratify": data.target[chosen]}
    train, test = map(torch.from_numpy, train_test_split(chosen, **split))
    pixels, labels = _as_rgb(torch.from_numpy(data.images)), torch.from_numpy(data.target).long()
    return Digits(pixels[train], labels[train], pixels[test], labels[test])


def _as_rgb(scans: Tensor) -> Tensor:
    """(N, 8, 8) ink counts from 0 to 16 to (N, 3, 32, 32) uint8."""
    grey = F.interpolate(scans.float().unsqueeze(1) / 16, scale_factor=4, mode="bilinear", align_corners=False)
    return (grey * 255).round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous()
