"""Where images to train on come from: files in folders, or a data set by timm's name."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image, UnidentifiedImageError
from timm.data import create_dataset
from torch.utils.data import IterableDataset

from .folder import LabelledFiles, read_folder

__all__ = ["DatasetImages", "FileImages", "ImageData", "ImageSource", "UnreadableImageError", "open_data"]

_PREFIXES = ("torch", "hfds")


class UnreadableImageError(ValueError):
    """An image is corrupt, truncated or missing. The message names it."""


class ImageSource(Protocol):
    """Labelled images that can be opened one by one."""

    @property
    def labels(self) -> Sequence[int]:
        """Indices of the images' classes."""
        ...

    def open(self, index: int) -> Image.Image:
        """One image, decoded; raises `UnreadableImageError` naming it."""
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
        mode: of Pillow, that images are converted to: "RGB", or "L" for one channel.
    """

    def __init__(self, files: LabelledFiles, mode: str = "RGB") -> None:
        self.paths, self.mode = files.paths, mode
        self.labels: Sequence[int] = files.labels

    def open(self, index: int) -> Image.Image:
        """One image in the source's mode."""
        path = self.paths[index]
        try:
            with Image.open(path) as image:
                return image.convert(self.mode)
        except UnidentifiedImageError:
            raise UnreadableImageError(f"{path} (not an image)") from None
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # what Pillow raises
            raise UnreadableImageError(f"{path} ({error})") from error


class DatasetImages:
    """A data set of (image, label) pairs with a length, e.g. torchvision's.

    Args:
        dataset: gives Pillow images.
        mode: of Pillow, that images are converted to.
    """

    def __init__(self, dataset: Any, mode: str = "RGB") -> None:
        self.dataset, self.mode = dataset, mode
        targets = getattr(dataset, "targets", None)
        self.labels: Sequence[int] = [
            int(t) for t in (targets if targets is not None else (pair[1] for pair in dataset))
        ]

    def open(self, index: int) -> Image.Image:
        """One image in the source's mode."""
        try:
            return self.dataset[index][0].convert(self.mode)
        except (OSError, ValueError, SyntaxError) as error:
            raise UnreadableImageError(f"image {index} of {type(self.dataset).__name__} ({error})") from error


def open_data(
    data: str | Path, *, data_dir: str | Path | None = None, val_share: float = 0.2, seed: int = 0, mode: str = "RGB"
) -> ImageData:
    """Find the images that a name stands for.

    Args:
        data: a folder as `read_folder` takes it, or a data set by timm's name, "torch/cifar10" or "hfds/NAME".
        data_dir: where a named data set lies, or is downloaded to.
        val_share, seed: of the held-out part, where a folder has none.
        mode: of Pillow, that images are converted to.

    Raises:
        ValueError: for a folder or a name that gives no classes.
    """
    prefix, _, name = str(data).partition("/")
    if prefix not in _PREFIXES or Path(data).exists():
        folder = read_folder(data, val_share=val_share, seed=seed)
        described = f"held-out part of {Path(data).resolve().name}"
        sources = FileImages(folder.train, mode), FileImages(folder.val, mode)
        return ImageData(folder.classes, *sources, described, folder.split_made)
    train, val = (_named(str(data), data_dir, split) for split in ("train", "validation"))
    classes = getattr(train, "classes", None)
    images = DatasetImages(train, mode), DatasetImages(val, mode)
    names = tuple(map(str, classes or range(max(images[0].labels) + 1)))
    return ImageData(names, *images, f"{name} validation")


def _named(name: str, data_dir: str | Path | None, split: str) -> Any:
    root = None if data_dir is None else str(data_dir)
    dataset = create_dataset(name, root=root, split=split, download=name.startswith("torch/"))
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise ValueError(f"{name} is a stream, which has no order to resume in: pass a folder or a set with a length.")
    return dataset
