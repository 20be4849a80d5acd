"""Training streams as datasets: every process reads shards of its own, in an order that an epoch decides alone."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from PIL import Image
from torch import Tensor
from torch.utils.data import IterableDataset

from ..engine.rng import drawing_from, mix_seed
from ..images.pixels import UnreadableImageError
from .read import LostImages, loader_part, stream_images
from .shards import Shards

__all__ = ["TrainStream"]


class TrainStream(IterableDataset[tuple[Tensor, int]]):
    """Read this process's share of a stream: the same number of whole batches in every process and epoch.

    The shards that a process and its loader processes read, the order of images and their augmentation depend only on
    the seed, the epoch, the number of processes and the number of loader processes. No shard is read by two of them. A
    process whose shards hold fewer images than its share begins them again. One with more images leaves the rest to a
    later epoch.

    Args:
        shards: see `open_shards`.
        transform: function from a Pillow image to a (C, H, W) float32 tensor; may draw from any global generator.
        batches: number of batches that every process reads in an epoch.
        batch_size: batch size of one process.
        classes: number of classes; labels are below it.
        mode: mode of Pillow in which images are read.
        rank, processes: rank of this process, and number of processes.
        seed: seed of augmentation and order.
        skip_bad: leave out images that cannot be read, and count them in `lost`.
    """

    def __init__(
        self,
        shards: Shards,
        transform: Any,
        *,
        batches: int,
        batch_size: int,
        classes: int,
        mode: str = "RGB",
        rank: int = 0,
        processes: int = 1,
        seed: int = 0,
        skip_bad: bool = False,
    ) -> None:
        self.shards, self.transform, self.seed = shards, transform, seed
        self.skip_bad, self.lost = skip_bad, LostImages()
        self.batches, self.batch_size, self.classes = batches, batch_size, classes
        self.rank, self.processes, self.epoch, self.mode = rank, processes, 0, mode

    def __len__(self) -> int:
        """Images that this process reads in an epoch."""
        return self.batches * self.batch_size

    @property
    def total(self) -> int:
        """Images that all processes read in an epoch."""
        return len(self) * self.processes

    def set_epoch(self, epoch: int) -> None:
        """Choose the pass, counted from 0."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        """Pairs of a (C, H, W) image and its label; torch's loader takes a batch from each loader process by turns.

        Raises:
            UnreadableImageError: when an image cannot be read and is not to be skipped.
            ValueError: for a label beyond the classes, or shards without an image.
        """
        worker, workers = loader_part()
        part = (self.rank * workers + worker, self.processes * workers)
        order_seed = mix_seed(self.seed, self.epoch, 1)
        wanted = len(range(worker, self.batches, workers)) * self.batch_size
        place = 0
        while place < wanted:
            before = place
            images = stream_images(self.shards, self.mode, part=part, seed=order_seed)
            for image, label in islice(_readable(images, self.lost, self.skip_bad), wanted - place):
                drawn = mix_seed(mix_seed(order_seed, part[0], 2), place, 3)
                yield self._augmented(image, drawn), _checked(label, self.classes)
                place += 1
            if place == before:
                raise ValueError(f"the shards of process {self.rank} hold no readable image: check them.")

    def _augmented(self, image: Any, drawn: int) -> Tensor:
        with drawing_from(drawn):
            return self.transform(image)


def _checked(label: int, classes: int) -> int:
    if not 0 <= label < classes:
        raise ValueError(
            f"the stream has the label {label}, but there are {classes} classes: check the number of classes "
            "(--classes), and that the labels of the split are public (--val-split)."
        )
    return label


def _readable(
    images: Iterable[tuple[Image.Image, int] | UnreadableImageError], lost: LostImages, skip_bad: bool
) -> Iterator[tuple[Image.Image, int]]:
    for found in images:
        if not isinstance(found, UnreadableImageError):
            yield found
        elif not skip_bad:
            raise found
        else:
            lost.add(found)
