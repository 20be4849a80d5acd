"""Small image datasets that are kept in memory and augmented a batch at a time."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ..engine.rng import mix_seed

__all__ = ["EpochSampler", "TensorImages", "tensor_loader"]


class TensorImages(Dataset[tuple[Tensor, Tensor]]):
    """Images in memory, of the host or of a device, cropped, mirrored and normalised a batch at a time.

    Augmentation depends on the seed, the epoch and the image's index alone: not on the batch it falls into, the
    number of processes or what was drawn before. A key ``epoch * len(self) + index`` says which is meant, so the
    keys below ``len(self)`` are the images of epoch 0. The keys of a batch are of one epoch.

    Args:
        images: (N, C, H, W) uint8.
        labels: (N,) int64.
        mean, std: per channel, for images in [0, 1].
        crop_padding: black pixels added on each side before a random crop of the original size.
        flip: mirror half of the images left to right.
        seed: of the augmentation.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        crop_padding: int = 0,
        flip: bool = False,
        seed: int = 0,
    ) -> None:
        self.images, self.labels = images, labels
        self.scale = 1 / (255 * torch.tensor(std)).view(-1, 1, 1)
        self.shift = (torch.tensor(mean) / torch.tensor(std)).view(-1, 1, 1)
        self.crop_padding, self.flip, self.seed = crop_padding, flip, seed
        self._drawn: tuple[int, Tensor] | None = None

    def to(self, device: torch.device | str) -> "TensorImages":
        """Keep, augment and normalise the images on a device; what is drawn stays the same. Returns itself."""
        for name in ("images", "labels", "scale", "shift"):
            setattr(self, name, getattr(self, name).to(device))
        return self

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, keys: Sequence[int]) -> tuple[Tensor, Tensor]:
        """A (B, C, H, W) float32 batch of one epoch and its (B,) labels; torch's loader passes a whole batch."""
        epoch, index = keys[0] // len(self), torch.tensor(keys) % len(self)
        if self._drawn is None or self._drawn[0] != epoch:
            self._drawn = epoch, self._draw(epoch)
        drawn, index = (values.to(self.images.device) for values in (self._drawn[1][index], index))
        images = self.images[index]
        if self.crop_padding or self.flip:
            images = _crop_and_flip(images, drawn, self.crop_padding)
        return images * self.scale - self.shift, self.labels[index]

    def _draw(self, epoch: int) -> Tensor:
        """(N, 3) for every image in an epoch: vertical and horizontal start of the crop, and whether to mirror."""
        generator = torch.Generator().manual_seed(mix_seed(self.seed, epoch, 1))
        crops = torch.randint(2 * self.crop_padding + 1, (len(self), 2), generator=generator)
        mirrored = torch.randint(2, (len(self), 1), generator=generator) * self.flip
        return torch.cat([crops, mirrored], dim=1)


class EpochSampler(Sampler[int]):
    """Yield the key of every image once, see `TensorImages`, in an order that depends on the seed and the epoch alone.

    The last images of the order are left out, so that the number of the others is a multiple of a given one; with fewer
    images than this, none is left out. accelerate calls `set_epoch` before every pass.
    """

    def __init__(self, size: int, *, seed: int = 0, multiple: int = 1) -> None:
        self.size, self.seed, self.epoch = size, seed, 0
        self.kept = size - size % multiple or size

    def set_epoch(self, epoch: int) -> None:
        """Choose the pass, counted from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.kept

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(mix_seed(self.seed, self.epoch, 0))
        order = torch.randperm(self.size, generator=generator)[: self.kept]
        return iter((order + self.epoch * self.size).tolist())


def tensor_loader(
    images: TensorImages, batch_size: int, *, shuffle: bool = False, multiple: int = 1
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Return a loader of normalised (B, C, H, W) float32 images and (B,) int64 labels, ready for accelerate.

    With ``shuffle``, every epoch has a new order, from the seed of the images, and a multiple of so many images.
    """
    sampler = EpochSampler(len(images), seed=images.seed, multiple=multiple) if shuffle else None
    return DataLoader(images, batch_size, sampler=sampler, collate_fn=_as_is)


def _as_is(batch: Any) -> Any:
    return batch


def _crop_and_flip(images: Tensor, offsets: Tensor, padding: int) -> Tensor:
    height, width = images.shape[2:]
    padded = torch.nn.functional.pad(images, [padding] * 4)
    rows = offsets[:, :1] + torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device).expand(len(images), -1)
    columns = offsets[:, 1:2] + torch.where(offsets[:, 2:] > 0, columns.flip(1), columns)
    sample = torch.arange(len(images), device=images.device).view(-1, 1, 1)
    picked = padded.permute(0, 2, 3, 1)[sample, rows.unsqueeze(2), columns.unsqueeze(1)]
    return picked.permute(0, 3, 1, 2)
