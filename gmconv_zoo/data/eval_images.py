"""Read and preprocess the images of an evaluation; an unreadable image is marked and never replaced by another."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from ..images.image_source import ImageSource
from ..images.pixels import UnreadableImageError
from ..streams.read import LostImages, loader_part, stream_images

__all__ = ["BAD_LABEL", "EvalImages", "EvalStream"]

# The label of an image that cannot be read
BAD_LABEL = -1


@dataclass(eq=False)
class _Prepared:
    """What images and streams share: the source, and a transform from a Pillow image to a (C, H, W) tensor.

    An image that cannot be read is replaced by zeros of that shape. The outputs are those of the source's classes, see
    `class_outputs`.
    """

    source: ImageSource
    transform: Callable[[Image.Image], Tensor]
    shape: tuple[int, ...]
    outputs: list[int] | None = None

    def _item(self, index: int, found: tuple[Image.Image, Any] | UnreadableImageError) -> tuple[Tensor, Tensor]:
        """(C, H, W) image and (2,) int64 of index and label; zeros and `BAD_LABEL` where it cannot be read."""
        if isinstance(found, UnreadableImageError):
            return torch.zeros(self.shape), torch.tensor([index, BAD_LABEL])
        image, label = found[0], int(found[1])
        if label < 0 or (self.outputs is not None and label >= len(self.outputs)):
            known = "labels begin with 0" if self.outputs is None else f"there are {len(self.outputs)} classes"
            raise ValueError(
                f"label {label}: {known}. Is this a split whose labels are held back (--split, --val-split)?"
            )
        return self.transform(image), torch.tensor([index, label if self.outputs is None else self.outputs[label]])


class EvalImages(_Prepared, Dataset[tuple[Tensor, Tensor]]):
    """Preprocessed images of a source, each with its index and label; arguments as `_Prepared`."""

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        try:
            return self._item(index, self.source.read(index))
        except UnreadableImageError as error:
            return self._item(index, error)

    def why_unreadable(self, indices: list[int]) -> list[str]:
        """Return the name of each of these images that cannot be read, with the reason."""
        reasons = []
        for index in indices:
            try:
                self.source.read(index)
                reasons.append(f"{self.source.image_name(index)} (it could be read the second time)")
            except UnreadableImageError as error:
                reasons.append(str(error))
        return reasons


@dataclass(eq=False)
class EvalStream(_Prepared, IterableDataset[tuple[Tensor, Tensor]]):
    """Preprocessed images of a stream, each with an index of its own and its label; arguments as `_Prepared`."""

    lost: LostImages = field(init=False, default_factory=LostImages)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs as those of `EvalImages`; loader processes count by turns."""
        first, step = loader_part()
        for place, found in enumerate(stream_images(self.source.reader, self.source.mode)):
            if isinstance(found, UnreadableImageError):
                self.lost.add(found)
            yield self._item(first + place * step, found)

    def why_unreadable(self, indices: list[int]) -> list[str]:
        """As that of `EvalImages`, but only of the first 20, and in the process that reads."""
        return self.lost.names[: len(indices)]
