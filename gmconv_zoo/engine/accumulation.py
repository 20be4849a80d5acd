"""Weights that make an update of several parts the step of the undivided batch, whatever the number of images.

accelerate divides the loss of every part by the number of parts and averages gradients over the processes. That is the
mean over the images only where all parts are of one size: the last update of an epoch may have fewer or smaller ones,
and accelerate repeats images so that every process gets as many.
"""

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.utils.data import DataLoader

from .extras import needs_extra

with needs_extra("train"):
    from accelerate import Accelerator
    from accelerate.data_loader import BatchSamplerShard
    from accelerate.utils import slice_tensors

__all__ = ["UpdateParts"]


class UpdateParts:
    """Weighs every part of an update by its images over the images of that update.

    Args:
        accelerator: accumulates the gradients.
        loader: prepared by it; gives the parts of an epoch.
    """

    def __init__(self, accelerator: Accelerator, loader: DataLoader[Any]) -> None:
        self.accelerator, self.rest, self.share = accelerator, 0, 0
        shard = loader.batch_sampler
        if isinstance(shard, BatchSamplerShard) and shard.split_batches:
            inner = shard.batch_sampler
            self.rest = 0 if inner.drop_last else len(inner.sampler) % inner.batch_size
            self.share = inner.batch_size // shard.num_processes
        self.first = self.images = 0

    def own(self, batch: Any, *, last: bool) -> tuple[Any, bool]:
        """Cut the images off that this process gets only to fill an epoch's last batch.

        Args:
            batch: of this process.
            last: whether it is the epoch's last.

        Returns:
            What is left of it, and whether any of its images count. Where none do, the batch comes whole: the process
            has to compute with the others.
        """
        if not last or not self.rest:
            return batch, True
        count = min(self.share, self.rest - self.share * self.accelerator.process_index)
        return (slice_tensors(batch, slice(count)), True) if count > 0 else (batch, False)

    def weight(self, images: int, *, last: bool) -> float:
        """The factor of a part's mean loss.

        Args:
            images: of this process that count; 0 for none.
            last: whether the part is the epoch's last.
        """
        together = self.rest if last and self.rest else images * self.accelerator.num_processes
        self.first = self.first or together
        self.images += together
        return images * self.accelerator.num_processes / self.first

    def finish(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make the gradients those of the mean over all images of the update, which is complete."""
        factor = self.accelerator.gradient_accumulation_steps * self.first / self.images
        self.first = self.images = 0
        if factor != 1:
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad.mul_(factor)
