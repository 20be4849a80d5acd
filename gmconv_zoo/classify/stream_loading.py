"""From streams to loaders: every process reads shards of its own, in an order that an epoch decides alone."""

import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from ..data.lazy_images import loader_processes
from ..data.shards import Shards
from ..data.stream_images import LostImages, loader_part, stream_images
from ..data.streams import StreamData
from ..engine.loop import TrainState
from ..engine.rng import drawing_from, mix_seed
from ..extras import needs_extra
from ..images.pixels import UnreadableImageError
from .loading import Loaders, eval_batch, image_mode, training_transform
from .recipes import Recipe

with needs_extra("train"):
    from accelerate import Accelerator
    from accelerate.data_loader import prepare_data_loader

__all__ = ["HeldOutStream", "StreamCounts", "TrainStream", "make_stream_loaders"]

_logger = logging.getLogger(__name__)


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


class HeldOutStream(IterableDataset[tuple[Tensor, int]]):
    """Yield every validation image once, in the order of the shards.

    Args:
        shards: see `open_shards`; read for all processes.
        transform: function from a Pillow image to a (C, H, W) float32 tensor.
        classes: number of classes; labels are below it.
        mode: mode of Pillow in which images are read.
        skip_bad: leave out images that cannot be read.
    """

    def __init__(
        self, shards: Shards, transform: Any, *, classes: int, mode: str = "RGB", skip_bad: bool = False
    ) -> None:
        self.mode = mode
        self.shards, self.transform, self.classes = shards, transform, classes
        self.skip_bad, self.lost = skip_bad, LostImages()

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        """Pairs of a (C, H, W) image and its label; raises `UnreadableImageError` unless such are to be skipped."""
        for image, label in _readable(stream_images(self.shards, self.mode), self.lost, self.skip_bad):
            yield self.transform(image), _checked(label, self.classes)


class StreamCounts:
    """Count the images that an epoch left out, and check that all validation images were read.

    Args:
        train: stream of the training images.
        val: stream of the validation images.
        announced: expected number of validation images.
    """

    def __init__(self, train: TrainStream, val: HeldOutStream, announced: int) -> None:
        self.train, self.val, self.announced, self.counted = train, val, announced, 0

    def add(self, state: TrainState, row: dict[str, Any]) -> None:
        """After an epoch: add "skipped_images" to its row, over all processes and both streams."""
        lost = torch.tensor(self.train.lost.count - self.counted, device=state.accelerator.device)
        self.counted = self.train.lost.count
        unread = max(0, self.announced - row["val_count"]) if "val_count" in row else 0
        row["skipped_images"] = int(state.accelerator.reduce(lost)) + unread

    def check(self, state: TrainState, row: dict[str, Any]) -> None:
        """Check the number of validation images after an epoch that is recorded and saved.

        Raises:
            ValueError: when it is not the expected number, unless unreadable images are skipped.
        """
        if "val_count" not in row:
            return
        came = row["val_count"]
        skipped = self.val.skip_bad and came < self.announced
        if came != self.announced and not skipped:
            raise ValueError(
                f"Read {came} validation images, expected {self.announced}: check the shards and their count "
                "(--val-split, --val-count). The epoch is saved."
            )
        if skipped and state.accelerator.is_main_process:
            _logger.warning("read only %d of %d validation images", came, self.announced)


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


def make_stream_loaders(
    model: nn.Module,
    data: StreamData,
    recipe: Recipe,
    *,
    accelerator: Accelerator,
    seed: int = 0,
    skip_bad: bool = False,
) -> Loaders:
    """Return loaders with the preprocessing of a network's configuration.

    Args:
        model: a classifier of timm's interface.
        data: streams of training and validation images.
        recipe: batch size and augmentation; a last partial batch is left out.
        accelerator: its processes share every batch; it takes the training loader as it is.
        seed: seed of order and augmentation.
        skip_bad: leave out images that cannot be read, instead of raising an error when they are read.

    Raises:
        ValueError: when the batch size cannot be shared, there are fewer images than it, or the recipe weighs classes.
    """
    if recipe.class_weights:
        raise ValueError("class_weights: how often a class occurs in a stream is unknown. Train without them.")
    processes, accumulate = accelerator.num_processes, accelerator.gradient_accumulation_steps
    shared = processes * accumulate
    if recipe.batch_size % shared:
        raise ValueError(
            f"batch_size={recipe.batch_size} cannot be shared by {processes} processes in {accumulate} batches: pass a "
            f"multiple of {shared}."
        )
    batch_size = recipe.batch_size // shared
    batches = data.train.count // (batch_size * processes)
    if not batches:
        raise ValueError(
            f"batch_size={recipe.batch_size}: the stream has only {data.train.count} images. Pass a smaller "
            "batch size (--batch-size)."
        )
    config = resolve_model_data_config(model)
    mode = image_mode(config)
    train = TrainStream(
        data.train,
        training_transform(config, recipe),
        batches=batches,
        batch_size=batch_size,
        classes=len(data.classes),
        mode=mode,
        rank=accelerator.process_index,
        processes=processes,
        seed=seed,
        skip_bad=skip_bad,
    )
    workers = min(loader_processes(), len(data.train.files) // processes)
    loader: Any = DataLoader(train, batch_size, num_workers=workers)
    # each process reads its own share already: accelerate is to move batches, not to hand them out
    loader = prepare_data_loader(
        loader, accelerator.device, num_processes=1, process_index=0, put_on_device=True, dispatch_batches=False
    )
    val = HeldOutStream(
        data.val, create_transform(**config, is_training=False), classes=len(data.classes), mode=mode, skip_bad=skip_bad
    )
    counts = StreamCounts(train, val, data.val.count)
    _logger.info(
        "%d shards, read by %d processes with %d loader processes each", len(data.train.files), processes, workers
    )
    val_loader: Any = DataLoader(val, eval_batch(processes), num_workers=min(loader_processes(), len(data.val.files)))
    return Loaders(loader, val_loader, torch.empty(0, dtype=torch.int64), False, [], (counts.add,), (counts.check,))
