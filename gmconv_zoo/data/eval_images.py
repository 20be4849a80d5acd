"""Images of an evaluation set, preprocessed; one that cannot be read is marked, never replaced by another."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from .eval_data import EvalSource
from .pixels import UNREADABLE, UnreadableImageError, read_image
from .stream_images import LostImages, stream_images

__all__ = ["BAD_LABEL", "EvalImages", "EvalStream", "read_pair"]

# The label of an image that cannot be read
BAD_LABEL = -1


class EvalImages(Dataset[tuple[Tensor, Tensor]]):
    """Preprocessed images of a source, each with its index and label.

    Args:
        source: gives images.
        transform: PIL image to (C, H, W) tensor.
        mode: Pillow's, e.g. "RGB".
        shape: (C, H, W) of what stands for an image that cannot be read.
        outputs: (classes,) output of each class of the source; None where labels are outputs already.
    """

    def __init__(
        self,
        source: EvalSource,
        transform: Callable[[Image.Image], Tensor],
        *,
        mode: str,
        shape: tuple[int, ...],
        outputs: list[int] | None = None,
    ) -> None:
        self.source, self.transform, self.mode = source, transform, mode
        self.shape, self.outputs = shape, outputs

    def __len__(self) -> int:
        return len(self.source.reader)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """(C, H, W) image and (2,) int64 of index and label; zeros and `BAD_LABEL` where it cannot be read."""
        try:
            image, label = read_pair(self.source.reader, index, self.mode)
        except UNREADABLE:
            return torch.zeros(self.shape), torch.tensor([index, BAD_LABEL])
        return self.transform(image), torch.tensor([index, _output(label, self.outputs)])

    def why_unreadable(self, indices: list[int]) -> list[str]:
        """Names of images that cannot be read, and what Pillow says about each."""
        return [f"{self.source.image_name(index)} ({self._why(index)})" for index in indices]

    def _why(self, index: int) -> str:
        try:
            read_pair(self.source.reader, index, "RGB")
        except UNREADABLE as error:
            return str(error)
        return ""


class EvalStream(IterableDataset[tuple[Tensor, Tensor]]):
    """Preprocessed images of a stream, each with an index of its own and its label; arguments as `EvalImages`."""

    def __init__(
        self,
        source: EvalSource,
        transform: Callable[[Image.Image], Tensor],
        *,
        mode: str,
        shape: tuple[int, ...],
        outputs: list[int] | None = None,
    ) -> None:
        self.source, self.transform, self.mode = source, transform, mode
        self.shape, self.outputs, self.lost = shape, outputs, LostImages()

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs as those of `EvalImages`; loader processes count by turns."""
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for place, found in enumerate(stream_images(self.source.reader, self.mode)):
            index = first + place * step
            if isinstance(found, UnreadableImageError):
                self.lost.add(found)
                yield torch.zeros(self.shape), torch.tensor([index, BAD_LABEL])
            else:
                yield self.transform(found[0]), torch.tensor([index, _output(found[1], self.outputs)])

    def why_unreadable(self, indices: list[int]) -> list[str]:
        """As that of `EvalImages`, but only of the first 20, and in the process that reads."""
        return self.lost.names[: len(indices)]


def read_pair(reader: Any, index: int, mode: str) -> tuple[Image.Image, Any]:
    """An image of a source's reader, decoded, and its label; raises one of `UNREADABLE`."""
    image, label = reader[index]
    with nullcontext() if isinstance(image, Image.Image) else image:
        return read_image(image, mode), label


def _output(label: Any, outputs: list[int] | None) -> int:
    place = int(label)
    if place < 0 or (outputs is not None and place >= len(outputs)):
        known = "labels begin with 0" if outputs is None else f"there are {len(outputs)} classes"
        raise ValueError(f"label {place}: {known}. Is this a split whose labels are held back (--split)?")
    return place if outputs is None else outputs[place]
