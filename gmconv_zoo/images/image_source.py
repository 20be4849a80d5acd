"""One interface to labelled images, which training, finetuning and validation share.

An unreadable image raises an error that names it. It is never replaced by another one, as timm's `ImageDataset` does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

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
    """

    name: str
    reader: Any
    class_names: list[str] | None
    ordered: bool = False
    stream: bool = False
    mode: str = "RGB"

    def __len__(self) -> int:
        return len(self.reader)

    @property
    def count(self) -> int:
        """Return the number of images, also of a stream."""
        return self.reader.count if self.stream else len(self)

    @cached_property
    def labels(self) -> Sequence[int]:
        """Return the labels of all images, in order."""
        return [int(label) for label in self.reader.labels]

    @property
    def names(self) -> Sequence[str]:
        """Return the paths of the images, relative to the dataset's folder; empty for a dataset without a folder."""
        return getattr(self.reader, "names", ())

    def part(self, indices: Sequence[int]) -> "ImageSource":
        """Return a source of some of these images."""
        return replace(self, reader=_Part(self.reader, indices))

    def image_name(self, index: int) -> str:
        """Return the name of an image for messages."""
        return str(self.reader.filename(index))

    def read(self, index: int) -> tuple[Image.Image, Any]:
        """Return an image in the source's mode, and its label.

        Raises:
            UnreadableImageError: when the image cannot be read; the message names it.
        """
        try:
            file, label = self.reader[index]
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


class _Part:
    """Some images of a reader."""

    def __init__(self, reader: Any, indices: Sequence[int]) -> None:
        self.reader, self.indices = reader, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.reader[self.indices[index]]

    @property
    def labels(self) -> list[int]:
        labels = self.reader.labels
        return [labels[index] for index in self.indices]

    @property
    def names(self) -> list[str]:
        names = getattr(self.reader, "names", ())
        return [names[index] for index in self.indices] if names else []

    def filename(self, index: int) -> str:
        return self.reader.filename(self.indices[index])
