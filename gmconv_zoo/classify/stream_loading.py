"""From streams to loaders, and the count of images that a stream lost."""

import logging
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from timm.data import create_transform
from torch import nn
from torch.utils.data import DataLoader

from ..data.eval_images import EvalStream
from ..data.lazy_images import loader_processes
from ..data.sources import ImageData
from ..engine.accumulation import part_size
from ..engine.loop import TrainState
from ..extras import needs_extra
from ..images.data_config import data_config
from ..images.pixels import mode_for
from ..streams.read import TrainStream
from .evaluate import Answers
from .loading import Loaders, eval_batch, training_transform
from .recipes import Recipe

with needs_extra("train"):
    from accelerate import Accelerator
    from accelerate.data_loader import prepare_data_loader

__all__ = ["StreamCounts", "make_stream_loaders"]

_logger = logging.getLogger(__name__)


class StreamCounts:
    """Count the images that an epoch left out, and check that as many validation images were read as announced."""

    def __init__(self, train: TrainStream, announced: int) -> None:
        self.train, self.announced, self.counted = train, announced, 0

    def add(self, state: TrainState, row: dict[str, Any]) -> None:
        """After an epoch: add "skipped_images" to its row, over all processes and both streams."""
        lost = torch.tensor(self.train.lost.count - self.counted, device=state.accelerator.device)
        self.counted = self.train.lost.count
        unread = max(0, self.announced - row["val_count"]) if "val_count" in row else 0
        row["skipped_images"] = int(state.accelerator.reduce(lost)) + unread

    def check(self, state: TrainState, row: dict[str, Any]) -> None:
        """Check the number of validation images, after an epoch has been recorded and saved.

        ValueError when it is not the expected number, unless unreadable images are skipped.
        """
        if "val_count" not in row:
            return
        came = row["val_count"]
        if self.train.skip_bad and came < self.announced:
            if state.accelerator.is_main_process:
                _logger.warning("read only %d of %d validation images", came, self.announced)
        elif came != self.announced:
            raise ValueError(
                f"Read {came} validation images, expected {self.announced}: check the shards and their count "
                "(--val-split, --val-count). The epoch is saved."
            )


def make_stream_loaders(
    model: nn.Module,
    data: ImageData,
    recipe: Recipe,
    *,
    accelerator: Accelerator,
    seed: int = 0,
    skip_bad: bool = False,
) -> Loaders:
    """Return loaders of streams; arguments as those of `make_loaders`.

    A last partial batch is left out, and images that cannot be read are met when they are read. ValueError when the
    batch size or the shards cannot be shared, there are fewer images than in a batch, or the recipe weighs classes.
    """
    if recipe.class_weights:
        raise ValueError("class_weights: how often a class occurs in a stream is unknown. Train without them.")
    processes, classes, count = accelerator.num_processes, len(data.classes), len(data.train)
    shards, val_shards = len(data.train.reader.files), len(data.val.reader.files)
    if shards < processes:
        raise ValueError(
            f"{data.train.name}: {shards} shards cannot be shared by {processes} processes. Start at most {shards} "
            "processes, or write the images into more shards (--train-split)."
        )
    batch_size = part_size(recipe.batch_size, accelerator.gradient_accumulation_steps, processes) // processes
    batches = count // (batch_size * processes)
    if not batches:
        raise ValueError(
            f"batch_size={recipe.batch_size}: the stream has only {count} images. Pass a smaller batch size "
            "(--batch-size)."
        )
    config = data_config(model)
    mode = mode_for(config["input_size"][0])
    train = TrainStream(
        data.train.reader,
        training_transform(config, recipe),
        batches=batches,
        batch_size=batch_size,
        classes=classes,
        mode=mode,
        rank=accelerator.process_index,
        processes=processes,
        seed=seed,
        skip_bad=skip_bad,
    )
    workers = min(loader_processes(), shards // processes)
    _logger.info("%d shards, read by %d processes with %d loader processes each", shards, processes, workers)
    loader: Any = DataLoader(train, batch_size, num_workers=workers)
    # each process reads its own share already: accelerate is to move batches, not to hand them out
    loader = prepare_data_loader(
        loader, accelerator.device, num_processes=1, process_index=0, put_on_device=True, dispatch_batches=False
    )
    transform = create_transform(**config, is_training=False)
    val = EvalStream(replace(data.val, mode=mode), transform, shape=config["input_size"], outputs=list(range(classes)))
    val_loader: Any = DataLoader(val, eval_batch(processes), num_workers=min(loader_processes(), val_shards))
    counts, answers = StreamCounts(train, len(data.val)), partial(Answers, val, skip_bad=skip_bad)
    return Loaders(loader, val_loader, answers=answers, callbacks=(counts.add,), closing_callbacks=(counts.check,))
