"""One interface to labelled images, which training, finetuning and validation share.

An unreadable image raises an error that names it. It is never replaced by another one, as timm's `ImageDataset` does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from PIL import Image

from .pixels import UnreadableImageError, read_image, unreadable

__all__ = ["ImageSource", "TorchReader"]


@dataclass(frozen=True)
class ImageSource:
    """Where images and labels come from, by the name that the user passed.

    Attributes:
        reader: `LabelledFiles`, a `TarReader`, `TorchReader` or `HubReader`: ``reader[i]`` is a path, an open file or a
            decoded image, and its label. For a stream it is `Shards`.
        class_names: class names that the labels index; None if labels are outputs of the network.
        ordered: whether the dataset defines the order of its classes. That order is then used for the network if no
            names match. The order of a folder's classes is only alphabetical.
        stream: whether images come in sequence and without names.
        mode: mode of Pillow in which `read` returns images, see `to_mode`.
        indices: places in the reader of the images that are used; None for all.
    """

    name: str
    reader: Any
    class_names: list[str] | None
    ordered: bool = False
    stream: bool = False
    mode: str = "RGB"
    indices: Sequence[int] | None = None

    def __len__(self) -> int:
        """Return the number of images; of a stream, as many as are announced."""
        return len(self._places)

    @property
    def _places(self) -> Sequence[int]:
        return range(len(self.reader)) if self.indices is None else self.indices

    @cached_property
    def labels(self) -> Sequence[int]:
        """Return the labels of all images, in order."""
        labels = self.reader.labels
        return [int(labels[place]) for place in self._places]

    @property
    def names(self) -> Sequence[str]:
        """Return the paths of the images, relative to the dataset's folder; empty for a dataset without a folder."""
        names = getattr(self.reader, "names", ())
        return [names[place] for place in self._places] if names else []

    def part(self, indices: Sequence[int]) -> "ImageSource":
        """Return a source of some of these images."""
        return replace(self, indices=[self._places[index] for index in indices])

    def image_name(self, index: int) -> str:
        """Return the name of an image for messages."""
        return str(self.reader.filename(self._places[index]))

    def stored(self, index: int) -> Path | IO[bytes] | None:
        """Return the file of an image as it is stored; None if it is missing or comes decoded."""
        file = None if isinstance(self.reader, TorchReader) else self.reader[self._places[index]][0]
        return Path(file) if isinstance(file, str) else file

    def read(self, index: int) -> tuple[Image.Image, Any]:
        """Return an image in the source's mode, and its label.

        Raises:
            UnreadableImageError: when the image cannot be read; the message names it.
        """
        try:
            file, label = self.reader[self._places[index]]
            return read_image(file, self.mode), label
        except UnreadableImageError as error:
            raise UnreadableImageError(f"{self.image_name(index)} ({error})") from error


class TorchReader:
    """A torchvision dataset, which has a length and gives pairs of a Pillow image and a label."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        try:
            return self.dataset[index]
        except Exception as error:  # it decodes the image with Pillow
            raise unreadable(error) from error

    @property
    def labels(self) -> list[int]:
        targets = getattr(self.dataset, "targets", None)
        return list(targets) if targets is not None else [self.dataset[index][1] for index in range(len(self))]

    def filename(self, index: int) -> str:
        samples = getattr(self.dataset, "samples", None)
        return str(samples[index][0]) if samples else f"image {index} of {type(self.dataset).__name__}"
