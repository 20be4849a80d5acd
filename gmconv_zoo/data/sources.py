"""Open the training and validation images of a dataset: a folder, or a dataset that timm names."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..images.folder import read_folder, split_indices
from ..images.hub_datasets import held_out_split, refuse_columns
from ..images.image_source import FileReader, ImageSource, PartReader
from ..images.listing import refuse_inside
from .eval_data import open_named

__all__ = ["ImageData", "open_data"]

_PREFIXES = ("torch", "hfds")


@dataclass(frozen=True)
class ImageData:
    """The training and validation images of a dataset, and its class names."""

    classes: tuple[str, ...]
    train: ImageSource
    val: ImageSource
    description: str
    split_made: bool = False


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
    output: str | Path | None = None,
) -> ImageData:
    """Open the training and validation images of a dataset.

    Args:
        data: a folder as in `read_folder`, or a dataset that timm names, such as "torch/cifar10" or "hfds/NAME".
        data_dir: folder in which a named dataset is stored, or to which it is downloaded.
        train_split, val_split: splits of "hfds/NAME" as Hugging Face names them; slices such as "train[:90%]" are
            allowed. By default training uses "train" and validation uses "validation" (or another name of it, or
            "test" if there is none).
        val_share, seed: share and seed of the validation set, if the dataset has none.
        image_column, label_column: image and label column of "hfds/NAME"; None to find them by their features.
        output: folder that will be written; it must be outside of a folder of images.

    Raises:
        ValueError: when the dataset has no classes or does not have the splits, labels are not classes, or the output
            is inside the dataset's folder.
    """
    prefix, _, name = str(data).partition("/")
    named = prefix in _PREFIXES and not Path(data).exists()
    if not (named and prefix == "hfds"):
        if train_split or val_split:
            raise ValueError(f"{data} has no splits to choose from (--train-split, --val-split): leave them out.")
        refuse_columns(data, image_column, label_column)
    if not named:
        folder = read_folder(data, val_share=val_share, seed=seed, output=output)
        described = f"validation part of {Path(data).resolve().name}"
        train, val = (
            ImageSource(str(data), FileReader(files, Path(data)), list(folder.classes))
            for files in (folder.train, folder.val)
        )
        return ImageData(folder.classes, train, val, described, folder.split_made)
    if prefix == "hfds":
        if output is not None and Path(name).is_dir():
            refuse_inside(output, name, frozenset({str(Path(name).resolve())}))
        opening = {"root": data_dir, "columns": (image_column, label_column)}
        return _hub_data(str(data), train_split or "train", val_split, val_share, seed, opening)
    if data_dir is None:
        raise ValueError(f"{data}: pass data_dir (--data-dir), the folder in which it is stored or downloaded to.")
    train, val = (open_named(str(data), root=data_dir, split=split, download=True) for split in ("train", "validation"))
    return ImageData(_names(train), train, val, f"{name} validation")


def _hub_data(
    data: str, train_split: str, val_split: str | None, val_share: float, seed: int, opening: dict[str, Any]
) -> ImageData:
    name = data.partition("/")[2]
    train = open_named(data, split=train_split, **opening)
    classes = _names(train)
    _check_labels(data, train_split, train, len(classes))
    val_split = val_split or held_out_split(name, train_split=train_split, cache=opening["root"])
    if val_split is None:
        kept, chosen = split_indices(train.labels, classes, share=val_share, seed=seed)
        used, val = (replace(train, reader=PartReader(train.reader, part)) for part in (kept, chosen))
        return ImageData(classes, used, val, f"validation part of {name} {train_split}", split_made=True)
    val = open_named(data, split=val_split, classes=classes, **opening)
    _check_labels(data, val_split, val, len(classes))
    return ImageData(classes, train, val, f"{name} {val_split}")


def _check_labels(data: str, split: str, images: ImageSource, classes: int) -> None:
    if outside := sorted({label for label in images.labels if not 0 <= label < classes}):
        raise ValueError(
            f"{data}, split {split!r}: labels {outside[:3]} are none of its {classes} classes; are they held back? "
            "Pass another split (--train-split, --val-split)."
        )


def _names(images: ImageSource) -> tuple[str, ...]:
    if images.class_names:
        return tuple(map(str, images.class_names))
    count = max(images.labels) + 1
    if gaps := sorted(set(range(count)) - set(images.labels)):
        raise ValueError(
            f"{images.name}: the labels are numbers up to {count - 1}, but no image has the labels {gaps[:5]}. "
            "Number the classes from 0 without gaps, or choose a column of class names (--label-column)."
        )
    return tuple(map(str, range(count)))
