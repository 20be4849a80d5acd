"""Random resized crops of a whole batch at once, for images in memory."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .tensors import TensorImages, mix_seed

__all__ = ["ResizedCrops", "crop_and_resize"]

# The usual range of a crop's width divided by its height.
RATIOS = (3 / 4, 4 / 3)


class ResizedCrops(TensorImages):
    """Images in memory, of which random parts are resized to one size.

    As with `TensorImages`, what is drawn depends on the seed, the epoch and the image's index alone.

    Args:
        *args: as for `TensorImages`.
        size: (height, width) of what comes out, in pixels.
        scale: smallest share of the area that is kept.
        **kwargs: as for `TensorImages`.
    """

    def __init__(self, *args: Any, size: tuple[int, int], scale: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.size, self.smallest = size, scale

    def augment(self, images: Tensor, drawn: Tensor) -> Tensor:
        """(B, C, H, W) float32 in [0, 255], from boxes and, in the last column, whether to mirror."""
        return crop_and_resize(images, drawn[:, :4], drawn[:, 4] > 0, size=self.size)

    def draw(self, epoch: int) -> Tensor:
        """(N, 5) for every image in an epoch: a box as top, left, height and width, and whether to mirror."""
        generator = torch.Generator().manual_seed(mix_seed(self.seed, epoch, 1))
        area, ratio, top, left, mirrored = torch.rand(5, len(self), generator=generator)
        area = self.smallest + (1 - self.smallest) * area
        low, high = map(math.log, RATIOS)
        ratio = (low + (high - low) * ratio).exp()
        height, width = (area / ratio).sqrt().clamp(max=1), (area * ratio).sqrt().clamp(max=1)
        mirrored = ((mirrored < 0.5) & self.flip).float()
        return torch.stack([top * (1 - height), left * (1 - width), height, width, mirrored], dim=1)


def crop_and_resize(images: Tensor, boxes: Tensor, mirrored: Tensor, *, size: tuple[int, int]) -> Tensor:
    """Cut a box out of each image and resize it bilinearly.

    Args:
        images: (B, C, H, W).
        boxes: (B, 4) top, left, height and width as shares of the image.
        mirrored: (B,) bool, whether to mirror left to right.
        size: (height, width) in pixels.

    Returns:
        (B, C, height, width) float32.
    """
    top, left, height, width = boxes.unbind(1)
    zero = torch.zeros_like(top)
    across = torch.stack([torch.where(mirrored, -width, width), zero, 2 * left + width - 1], dim=1)
    down = torch.stack([zero, height, 2 * top + height - 1], dim=1)
    shape = [len(images), images.shape[1], *size]
    grid = F.affine_grid(torch.stack([across, down], dim=1), shape, align_corners=False)
    return F.grid_sample(images.float(), grid, padding_mode="reflection", align_corners=False)
