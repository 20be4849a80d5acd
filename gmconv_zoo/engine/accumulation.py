"""Weight the parts of an update so that it equals the step of the undivided batch, for any number of images.

accelerate divides the loss of every part by the number of parts and averages gradients over the processes. This is the
mean over the images only if all parts have the same size. The last update of an epoch may have fewer or smaller parts,
and accelerate repeats images so that every process gets the same number.
"""

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.utils.data import DataLoader

from ..extras import needs_extra

with needs_extra("train"):
    from accelerate import Accelerator
    from accelerate.data_loader import BatchSamplerShard

__all__ = ["UpdateParts", "part_size"]


def part_size(batch_size: int, parts: int, processes: int) -> int:
    """Return the number of images in each part of an update's batch; ValueError where they cannot be shared evenly."""
    if parts < 1:
        raise ValueError(f"accumulate={parts}: pass at least 1 part per update (--accumulate).")
    if batch_size % (parts * processes):
        sharing = f"{processes} process{'es' * (processes > 1)} in {parts} part{'s' * (parts > 1)}"
        raise ValueError(
            f"batch_size={batch_size} cannot be shared by {sharing}: pass a multiple of {parts * processes} "
            "(--batch-size), or another number of parts (--accumulate)."
        )
    return batch_size // parts


class UpdateParts:
    """Weight every part of an update by its share of the update's images.

    The loader of the parts of an epoch is prepared by the accelerator, which accumulates the gradients.
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
        """Cut off the images that this process gets only to fill the last batch of an epoch.

        A batch has parts, such as images and labels, each a tensor or a list of samples. With the rest comes whether
        any of its images count. If none count, it is the whole batch, because every process has to compute something.
        """
        if not last or not self.rest:
            return batch, True
        count = min(self.share, self.rest - self.share * self.accelerator.process_index)
        return ([part[:count] for part in batch], True) if count > 0 else (batch, False)

    def weight(self, images: int, *, last: bool) -> float:
        """Return the factor of a part's mean loss, for the number of this process's images that count."""
        together = self.rest if last and self.rest else images * self.accelerator.num_processes
        self.first = self.first or together
        self.images += together
        return images * self.accelerator.num_processes / self.first

    def finish(self, parameters: Iterable[nn.Parameter]) -> None:
        """Scale the gradients of a complete update to those of the mean over all its images."""
        factor = self.accelerator.gradient_accumulation_steps * self.first / self.images
        self.first = self.images = 0
        if factor != 1:
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad.mul_(factor)
