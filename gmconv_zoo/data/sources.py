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
from .folder import LabelledFiles, read_folder, split_indices
from .hub_splits import held_out_split
from .pixels import UNREADABLE, UnreadableImageError, read_image

__all__ = ["DatasetImages", "FileImages", "HubImages", "ImageData", "ImageSource", "Part", "open_data"]

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
        classes: names that the labels are to index, for labels that are text; None for the source's own.

    Raises:
        ValueError: for a label that is none of the classes.
    """

    def __init__(self, source: EvalSource, classes: Sequence[str] | None = None) -> None:
        self.source = source
        self.labels: Sequence[int] = source.reader.labels
        if classes is not None and source.class_names is not None and not source.ordered:
            if unknown := sorted(set(source.class_names) - set(classes)):
                raise ValueError(
                    f"{source.name}: {unknown[:3]} occur in the validation split only. Relabel or remove them."
                )
            self.labels = [classes.index(source.class_names[label]) for label in self.labels]

    def open(self, index: int) -> Image.Image:
        """One image as RGB."""
        try:
            return read_pair(self.source.reader, index, "RGB")[0]
        except UNREADABLE as error:
            raise UnreadableImageError(f"image {index} of {self.source.name} ({error})") from error


class Part:
    """Some images of a source.

    Args:
        source: images.
        indices: those of the source's images that belong to it.
    """

    def __init__(self, source: ImageSource, indices: Sequence[int]) -> None:
        self.source, self.indices = source, indices
        self.labels: Sequence[int] = [source.labels[index] for index in indices]

    def open(self, index: int) -> Image.Image:
        """One image as RGB."""
        return self.source.open(self.indices[index])


def open_data(
    data: str | Path,
    *,
    data_dir: str | Path | None = None,
    train_split: str | None = None,
    val_split: str | None = None,
    val_share: float = 0.2,
    seed: int = 0,
    image_column: str | None = None,
    label_column: str | None = None,
) -> ImageData:
    """Find the images that a name stands for.

    Args:
        data: a folder as `read_folder` takes it, or a data set by timm's name, "torch/cifar10" or "hfds/NAME".
        data_dir: where a named data set lies, or is downloaded to.
        train_split, val_split: of "hfds/NAME", as Hugging Face names them, slices such as "train[:90%]" included; by
            default "train", and what there is of "validation" and the like, or of "test".
        val_share, seed: of the held-out part, where the set has none.
        image_column, label_column: columns of "hfds/NAME", where their features do not tell them.

    Raises:
        ValueError: for a folder or a name that gives no classes, splits it has not, or labels that are no classes.
    """
    prefix, _, name = str(data).partition("/")
    named = prefix in _PREFIXES and not Path(data).exists()
    hub = named and prefix == "hfds"
    if (train_split or val_split) and not hub:
        raise ValueError(f"{data} has no splits to choose from (--train-split, --val-split): leave them out.")
    if (image_column or label_column) and not hub:
        raise ValueError(f"{data} has no columns to choose from (--image-column, --label-column): leave them out.")
    if not named:
        folder = read_folder(data, val_share=val_share, seed=seed)
        described = f"held-out part of {Path(data).resolve().name}"
        sources = FileImages(folder.train), FileImages(folder.val)
        return ImageData(folder.classes, *sources, described, folder.split_made)
    if hub:
        columns = {"image_column": image_column, "label_column": label_column}
        return _hub_data(str(data), data_dir, train_split or "train", val_split, val_share, seed, columns)
    sets = [_named(str(data), data_dir, split) for split in ("train", "validation")]
    images = DatasetImages(sets[0]), DatasetImages(sets[1])
    return ImageData(_names(getattr(sets[0], "classes", None), images[0]), *images, f"{name} validation")


def _hub_data(
    data: str,
    data_dir: str | Path | None,
    train_split: str,
    val_split: str | None,
    val_share: float,
    seed: int,
    columns: dict[str, Any],
) -> ImageData:
    name = data.partition("/")[2]
    found = open_eval_data(data, root=data_dir, split=train_split, **columns)
    train = HubImages(found)
    classes = _names(found.class_names, train)
    _check_labels(data, train_split, train, len(classes))
    val_split = val_split or held_out_split(name, train_split=train_split, cache=data_dir)
    if val_split is None:
        kept, held_out = split_indices(train.labels, classes, share=val_share, seed=seed)
        parts = Part(train, kept), Part(train, held_out)
        return ImageData(classes, *parts, f"held-out part of {name} {train_split}", split_made=True)
    val = HubImages(open_eval_data(data, root=data_dir, split=val_split, **columns), classes)
    _check_labels(data, val_split, val, len(classes))
    return ImageData(classes, train, val, f"{name} {val_split}")


def _check_labels(data: str, split: str, images: ImageSource, classes: int) -> None:
    if outside := sorted({label for label in images.labels if not 0 <= label < classes}):
        raise ValueError(
            f"{data}, split {split!r}: labels {outside[:3]} are none of its {classes} classes; are they held back? "
            "Pass another split (--train-split, --val-split)."
        )


def _names(names: Sequence[str] | None, images: ImageSource) -> tuple[str, ...]:
    if names:
        return tuple(map(str, names))
    count = max(images.labels) + 1
    if gaps := sorted(set(range(count)) - set(images.labels)):
        raise ValueError(
            f"the labels are numbers up to {count - 1}, but no image has {', '.join(map(str, gaps[:5]))}: number the "
            "classes from 0 without gaps, or choose a column of class names (--label-column)."
        )
    return tuple(map(str, range(count)))


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
