"""Images that are read at every use, for sets that do not fit into memory."""

import os
import random
import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..engine.extras import needs_extra
from ..engine.rng import rng_state, set_rng_state
from .pixels import UnreadableImageError
from .sources import ImageSource
from .tensors import mix_seed

with needs_extra("train"):
    from tqdm import tqdm

__all__ = ["LazyImages", "find_unreadable"]


class LazyImages(Dataset[tuple[Tensor, int]]):
    """Images that are read at every use, augmented by seed, epoch and index alone (see `TensorImages`).

    Args:
        source: images.
        indices: those of the source's images that are used.
        transform: Pillow image to a (C, H, W) float32 tensor; may draw from any global generator.
        seed: of the augmentation.
    """

    def __init__(self, source: ImageSource, indices: list[int], transform: Any, seed: int) -> None:
        self.source, self.indices, self.transform, self.seed = source, indices, transform, seed
        self.labels = torch.tensor([source.labels[index] for index in indices])

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: int) -> tuple[Tensor, int]:
        """The image of a key ``epoch * len(self) + index``; the process's generators are left as they were."""
        epoch, index = divmod(key, len(self))
        image = self.source.open(self.indices[index])
        state = rng_state()
        try:
            drawn = mix_seed(mix_seed(self.seed, epoch, 1), index, 2) % 2**32
            random.seed(drawn)
            np.random.seed(drawn)
            torch.default_generator.manual_seed(drawn)
            return self.transform(image), int(self.labels[index])
        finally:
            set_rng_state({**state, "cuda": None})


def find_unreadable(source: ImageSource) -> dict[int, str]:
    """Read every image once, in several processes, with a bar where that takes a while.

    Args:
        source: images.

    Returns:
        Name and reason by index, of those that cannot be read.
    """
    images = _Messages(source)
    generator = torch.Generator()  # the global one is left as it is
    loader: DataLoader[str] = DataLoader(
        images, 32, num_workers=min(8, os.cpu_count() or 1), collate_fn=list, generator=generator
    )
    found: dict[int, str] = {}
    shown = sys.stderr.isatty() and os.environ.get("LOCAL_RANK", "0") == "0"
    place = 0
    with tqdm(total=len(images), desc="reading every image", unit="image", delay=2, disable=not shown) as bar:
        for messages in loader:
            found |= {place + offset: message for offset, message in enumerate(messages) if message}
            place += len(messages)
            bar.update(len(messages))
    return found


class _Messages(Dataset[str]):
    """Why each image cannot be read; empty where it can be."""

    def __init__(self, source: ImageSource) -> None:
        self.source = source

    def __len__(self) -> int:
        return len(self.source.labels)

    def __getitem__(self, index: int) -> str:
        try:
            self.source.open(index)
        except UnreadableImageError as error:
            return str(error)
        return ""
