"""Images that are read at every use, for sets that do not fit into memory."""

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..engine.rng import rng_state, set_rng_state
from .sources import ImageSource
from .tensors import mix_seed

__all__ = ["LazyImages"]


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
