"""Read the images of a stream one after another; an unreadable image raises or yields an error that names it."""

import logging
import random
from collections.abc import Iterable, Iterator
from multiprocessing import SimpleQueue, Value

from PIL import Image
from torch.utils.data import get_worker_info

from ..images.pixels import UnreadableImageError, read_image
from .shards import Sample, Shards, described

__all__ = ["LostImages", "loader_part", "stream_images"]

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
    """Read some of the shards once.

    Args:
        shards: see `open_shards`.
        mode: mode of Pillow in which images are returned, see `to_mode`.
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
