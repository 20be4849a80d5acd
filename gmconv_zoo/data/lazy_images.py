"""Images that are read at every use, for datasets that do not fit into memory."""

import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..engine.rng import drawing_from, sample_seed
from ..extras import needs_extra
from ..images.image_source import ImageSource
from ..images.pixels import UnreadableImageError

with needs_extra("train"):
    from tqdm import tqdm

__all__ = ["LazyImages", "find_unreadable", "loader_processes", "reading_loader"]

# Images that a loader process checks at once
_CHECKED = 32


class LazyImages(Dataset[tuple[Tensor, int]]):
    """Images that are read at every use, augmented by seed, epoch and index alone (see `TensorImages`).

    The transform turns a Pillow image into a (C, H, W) float32 tensor, and may draw from any global generator.
    """

    def __init__(self, source: ImageSource, transform: Any, seed: int) -> None:
        self.source, self.transform, self.seed = source, transform, seed
        self.labels = torch.tensor(source.labels, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: int) -> tuple[Tensor, int]:
        """The image of a key ``epoch * len(self) + index``; the process's generators are left as they were."""
        epoch, index = divmod(key, len(self))
        image, _ = self.source.read(index)
        with drawing_from(sample_seed(self.seed, epoch, index)):
            return self.transform(image), int(self.labels[index])


def loader_processes() -> int:
    """Return how many processes read for one of training: at most 8, and with those of others one per usable core."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # a job may not have all of them
        cores = len(os.sched_getaffinity(0))
    return max(1, min(8, cores // here))


def reading_loader(
    images: Dataset[Any], batch_size: int, seed: int, *, workers: int | None = None, **options: Any
) -> Any:
    """Return a loader whose processes stay from epoch to epoch; without ``workers``, as many as suit the machine.

    Each new one would make this process copy every page of memory that it writes to. The seeds of theirs are drawn
    from a generator of their own, as an interrupted run starts them once more than a whole one.
    """
    workers = loader_processes() if workers is None else workers
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(
        images, batch_size, num_workers=workers, persistent_workers=workers > 0, generator=generator, **options
    )


def find_unreadable(source: ImageSource) -> dict[int, str]:
    """Return name and reason, by index, of the images that cannot be read; the run's processes share the reading."""
    together = dist.is_available() and dist.is_initialized()
    rank, processes = (dist.get_rank(), dist.get_world_size()) if together else (0, 1)
    indices: Any = range(rank, len(source), processes)
    loader = reading_loader(indices, _CHECKED, seed=0, collate_fn=partial(_messages, source))
    found: dict[int, str] = {}
    shown = sys.stderr.isatty() and rank == 0
    bar = {"desc": "reading every image", "unit": "image", "unit_scale": _CHECKED, "delay": 2, "disable": not shown}
    for messages in tqdm(loader, **bar):
        found |= messages
    parts: list[Any] = [found] * processes
    if together:
        dist.all_gather_object(parts, found)
    return dict(sorted((index, message) for part in parts for index, message in part.items()))


def _messages(source: ImageSource, indices: Sequence[int]) -> dict[int, str]:
    """Return the reason for every image that cannot be read, by its index."""
    found = {}
    for index in indices:
        try:
            source.read(index)
        except UnreadableImageError as error:
            found[index] = str(error)
    return found
