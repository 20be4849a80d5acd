"""Where images to train on come from: files in folders, or a data set by timm's name."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image, UnidentifiedImageError
from timm.data import create_dataset
from torch.utils.data import IterableDataset

from .eval_data import EvalSource, open_eval_data
from .eval_images import read_pair
from .folder import LabelledFiles, read_folder
from .pixels import UNREADABLE, UnreadableImageError, read_image

__all__ = ["DatasetImages", "FileImages", "HubImages", "ImageData", "ImageSource", "open_data"]

_PREFIXES = ("torch", "hfds")


class ImageSource(Protocol):
    """Labelled images that can be opened one by one."""

    @property
    def labels(self) -> Sequence[int]:
        """Indices of the images' classes."""
        ...

    def open(self, index: int) -> Image.Image:
        """One image, decoded as RGB; raises `UnreadableImageError` naming it."""
        ...


@dataclass(frozen=True)
class ImageData:
    """Images to train on and held out, and their classes' names."""

    classes: tuple[str, ...]
    train: ImageSource
    val: ImageSource
    description: str
    split_made: bool = False


class FileImages:
    """Image files.

    Args:
        files: paths and labels.
    """

    def __init__(self, files: LabelledFiles) -> None:
        self.paths = files.paths
        self.labels: Sequence[int] = files.labels

    def open(self, index: int) -> Image.Image:
        """One image as RGB."""
        path = self.paths[index]
        try:
            return read_image(path, "RGB")
        except UnidentifiedImageError:
            raise UnreadableImageError(f"{path} (not an image)") from None
        except UNREADABLE as error:
            raise UnreadableImageError(f"{path} ({error})") from error


class DatasetImages:
    """A data set of (image, label) pairs with a length, e.g. torchvision's.

    Args:
        dataset: gives Pillow images.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        targets = getattr(dataset, "targets", None)
        targets = (pair[1] for pair in dataset) if targets is None else targets
        self.labels: Sequence[int] = [int(target) for target in targets]

    def open(self, index: int) -> Image.Image:
        """One image as RGB."""
        try:
            return read_image(self.dataset[index][0], "RGB")
        except UNREADABLE as error:
            raise UnreadableImageError(f"image {index} of {type(self.dataset).__name__} ({error})") from error


class HubImages:
    """A Hugging Face data set with a length, read image by image, none of which another takes the place of.

    Args:
        source: from `open_eval_data`.
    """

    def __init__(self, source: EvalSource) -> None:
        self.source, reader = source, source.reader
        self.labels: Sequence[int] = [int(label) for label in reader.dataset[reader.label_key]]

    def open(self, index: int) -> Image.Image:
        """One image as RGB."""
        try:
            return read_pair(self.source.reader, index, "RGB")[0]
        except UNREADABLE as error:
            raise UnreadableImageError(f"image {index} of {self.source.name} ({error})") from error


def open_data(
    data: str | Path, *, data_dir: str | Path | None = None, val_share: float = 0.2, seed: int = 0
) -> ImageData:
    """Find the images that a name stands for.

    Args:
        data: a folder as `read_folder` takes it, or a data set by timm's name, "torch/cifar10" or "hfds/NAME".
        data_dir: where a named data set lies, or is downloaded to.
        val_share, seed: of the held-out part, where a folder has none.

    Raises:
        ValueError: for a folder or a name that gives no classes.
    """
    prefix, _, name = str(data).partition("/")
    if prefix not in _PREFIXES or Path(data).exists():
        folder = read_folder(data, val_share=val_share, seed=seed)
        described = f"held-out part of {Path(data).resolve().name}"
        sources = FileImages(folder.train), FileImages(folder.val)
        return ImageData(folder.classes, *sources, described, folder.split_made)
    if prefix == "hfds":
        found = [open_eval_data(data, root=data_dir, split=split) for split in ("train", "validation")]
        train, val = (HubImages(source) for source in found)
        return ImageData(_names(found[0].class_names, train), train, val, f"{name} validation")
    sets = [_named(str(data), data_dir, split) for split in ("train", "validation")]
    images = DatasetImages(sets[0]), DatasetImages(sets[1])
    return ImageData(_names(getattr(sets[0], "classes", None), images[0]), *images, f"{name} validation")


def _names(names: Sequence[str] | None, images: ImageSource) -> tuple[str, ...]:
    return tuple(map(str, names or range(max(images.labels) + 1)))


def _named(name: str, data_dir: str | Path | None, split: str) -> Any:
    if data_dir is None:
        raise ValueError(f"{name}: pass data_dir (--data-dir), the folder in which it lies or is downloaded to.")
    try:
        dataset = create_dataset(name, root=str(data_dir), split=split, download=True)
    except (AssertionError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{name} in {data_dir}, {split}: {error or 'torchvision has no such set'}") from error
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise ValueError(f"{name} is a stream, which has no order to resume in: pass a folder or a set with a length.")
    return dataset
