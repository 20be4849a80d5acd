"""Read the images of a stream one after another; an unreadable image raises or yields an error that names it."""

import logging
import random
from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from itertools import islice
from multiprocessing import SimpleQueue, Value
from typing import Any

from PIL import Image
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from ..engine.rng import drawing_from, mix_seed
from ..images.pixels import UnreadableImageError, read_image
from .shards import Sample, Shards, described

__all__ = ["LostImages", "TrainStream", "loader_part", "stream_images"]

_logger = logging.getLogger(__name__)

# Number of encoded images from which each loader process draws the next one
_SHUFFLED = 4096
# So many names are kept; all are logged where they are met.
_KEPT = 20


class LostImages:
    """What could not be read, as loader processes tell the one that started them."""

    def __init__(self) -> None:
        self._count = Value("q", 0)
        self._messages: SimpleQueue[str] = SimpleQueue()
        self._names: list[str] = []

    def add(self, image: UnreadableImageError) -> None:
        """Log and count one more."""
        _logger.warning("cannot be read: %s", image)
        with self._count.get_lock():
            self._count.value += 1
            if self._count.value <= _KEPT:
                self._messages.put(str(image))

    @property
    def count(self) -> int:
        """How many there were, in all processes that have this object."""
        return self._count.value

    @property
    def names(self) -> list[str]:
        """Names and reasons of the first ones, for one process to ask for."""
        while not self._messages.empty():
            self._names.append(self._messages.get())
        return list(dict.fromkeys(self._names))


def loader_part() -> tuple[int, int]:
    """Return the number of this process among the loader processes of its torch loader, and how many there are."""
    worker = get_worker_info()
    return (0, 1) if worker is None else (worker.id, worker.num_workers)


def stream_images(
    shards: Shards, mode: str = "RGB", *, part: tuple[int, int] | None = None, seed: int | None = None
) -> Iterator[tuple[Image.Image, int] | UnreadableImageError]:
    """Read some of the shards once, in a mode of Pillow's, see `to_mode`.

    Args:
        part: number of this reader, counted from 0, and number of readers that share the shards; None for the
            processes of a torch loader.
        seed: seed of the order of shards and images, the same for all readers; None for the stored order.

    Returns:
        For each image a pair of the image and its label, or an error that names the image if it cannot be read or has
        no label. For a shard that is cut off within an image, one or two errors stand for the missing rest. A shard
        that is cut off between two images cannot be told from a complete one.
    """
    first, step = part or loader_part()
    order = list(range(len(shards.files)))
    if seed is not None:
        random.Random(seed).shuffle(order)
    found = (sample for shard in order[first::step] for sample in shards.files[shard]())
    for sample in found if seed is None else _shuffled(found, random.Random(f"{seed}/{first}")):
        if isinstance(sample, UnreadableImageError):
            yield sample
            continue
        try:
            with sample.open() as file:
                image = read_image(file, mode)
        except Exception as error:  # whatever a decoder or a connection raises
            yield UnreadableImageError(f"{sample.name} ({described(error)})")
        else:
            yield image, sample.label


def _shuffled(
    samples: Iterable[Sample | UnreadableImageError], generator: random.Random
) -> Iterator[Sample | UnreadableImageError]:
    kept: list[Sample] = []
    for sample in samples:
        if isinstance(sample, UnreadableImageError):
            yield sample
        elif len(kept) < _SHUFFLED:
            kept.append(sample)
        else:
            place = generator.randrange(_SHUFFLED)
            yield kept[place]
            kept[place] = sample
    generator.shuffle(kept)
    yield from kept


@dataclass(eq=False)
class TrainStream(IterableDataset[tuple[Tensor, int]]):
    """Read this process's share of a stream: the same number of whole batches in every process and epoch.

    The shards that a process and its loader processes read, the order of images and their augmentation depend only on
    the seed, the epoch, the number of processes and the number of loader processes. No shard is read by two of them. A
    process whose shards hold fewer images than its share begins them again. One with more images leaves the rest to a
    later epoch.

    Attributes:
        shards: see `Shards`.
        transform: function from a Pillow image to a (C, H, W) float32 tensor; may draw from any global generator.
        batches, batch_size: number of batches that every process reads in an epoch, and their size.
        classes: number of classes; labels are below it.
        seed: seed of augmentation and order.
        skip_bad: leave out images that cannot be read, and count them in `lost`.
    """

    shards: Shards
    transform: Any
    _: KW_ONLY
    batches: int
    batch_size: int
    classes: int
    mode: str = "RGB"
    rank: int = 0
    processes: int = 1
    seed: int = 0
    skip_bad: bool = False
    epoch: int = 0
    lost: LostImages = field(init=False, default_factory=LostImages)

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
            for image, label in islice(self._usable(images), wanted - place):
                with drawing_from(mix_seed(mix_seed(order_seed, part[0], 2), place, 3)):
                    pixels = self.transform(image)
                yield pixels, label
                place += 1
            if place == before:
                raise ValueError(f"the shards of process {self.rank} hold no readable image: check them.")

    def _usable(
        self, images: Iterable[tuple[Image.Image, int] | UnreadableImageError]
    ) -> Iterator[tuple[Image.Image, int]]:
        for found in images:
            if isinstance(found, UnreadableImageError):
                if not self.skip_bad:
                    raise found
                self.lost.add(found)
            elif 0 <= found[1] < self.classes:
                yield found
            else:
                raise ValueError(
                    f"the stream has the label {found[1]}, but there are {self.classes} classes: check the number of "
                    "classes (--classes), and that the labels of the split are public (--val-split)."
                )
