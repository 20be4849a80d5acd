"""Open the training and validation images of a dataset: a folder, or a dataset or stream that timm names."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..images.folder import read_folder
from ..images.hub_datasets import held_out_split, refuse_columns
from ..images.image_source import ImageSource
from ..images.label_files import read_class_names
from ..images.listing import refuse_inside
from ..wording import listed
from .named import STREAMS, name_prefix, open_named

__all__ = ["DataOptions", "ImageData", "open_data"]

# Classes, training images, validation images if there are any, and the name of the validation set in records
_Opened = tuple[tuple[str, ...], ImageSource, ImageSource | None, str]


@dataclass(frozen=True)
class ImageData:
    """The training and validation images of a dataset, both streams or neither, and its classes in label order.

    The description is the validation set's name in records. If the dataset has no validation set, one was made here.
    """

    classes: tuple[str, ...]
    train: ImageSource
    val: ImageSource
    description: str
    split_made: bool = False


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """How the training and validation images of a dataset are found.

    Attributes:
        data_dir: folder in which a named dataset is stored or to which it is downloaded; also the address of shards.
        train_split, val_split: splits of a Hugging Face dataset or a stream. Of "hfds/NAME", slices such as
            "train[:90%]" are allowed; of "wds/NAME", timm's pattern of shards, "name-{00..09}.tar|COUNT". By default
            training uses "train" and validation uses "validation", or in Hugging Face datasets another name of it, or
            "test" if there is none.
        train_count, val_count: number of images in a stream; None if the split or an index contains it.
        classes: number of classes of a stream, or a file with a class name per line in the order of the labels; None
            if the dataset names its classes ("hfids/NAME").
        image_column, label_column: image and label column of a Hugging Face dataset; None to find them by their
            features.
        val_share: share of the validation set, if the dataset has none.
    """

    data_dir: str | Path | None = None
    train_split: str | None = None
    val_split: str | None = None
    train_count: int | None = None
    val_count: int | None = None
    classes: str | int | None = None
    image_column: str | None = None
    label_column: str | None = None
    val_share: float = 0.2


def open_data(
    data: str | Path, options: DataOptions | None = None, *, seed: int = 0, output: str | Path | None = None
) -> ImageData:
    """Open the training and validation images of a dataset; those of a stream are read when an epoch begins.

    Args:
        data: a folder as in `read_folder`; a dataset that timm names, such as "torch/cifar10" or "hfds/NAME"; or a
            stream, "wds/NAME" or "hfids/NAME".
        options: how the images are found; None for the defaults.
        seed: seed of the validation set, if the dataset has none.
        output: folder that will be written; it must be outside of a folder of images.

    Raises:
        ValueError: when a package, the dataset, its classes, its splits or a stream's number of images are missing,
            labels are not classes, or the output is inside the dataset's folder.
    """
    options, prefix = options or DataOptions(), name_prefix(data)
    if prefix not in STREAMS and (options.train_count or options.val_count or options.classes):
        raise ValueError(f"{data} is not a stream: leave out --train-count, --val-count and --classes.")
    if prefix in ("", "torch") and (options.train_split or options.val_split):
        raise ValueError(f"{data} has no splits to choose from (--train-split, --val-split): leave them out.")
    opened = _open_splits(str(data), prefix, options, output) if prefix else _open_folder(Path(data), options, output)
    classes, train, val, description = opened
    if val is not None:
        return ImageData(classes, train, val, description)
    train, val = map(train.part, _split_indices(train.labels, classes, share=options.val_share, seed=seed))
    return ImageData(classes, train, val, description, split_made=True)


def _open_folder(folder: Path, options: DataOptions, output: str | Path | None) -> _Opened:
    refuse_columns(folder, options.image_column, options.label_column)
    classes, files, val_files = read_folder(folder, output=output)
    train = ImageSource(str(folder), files, list(classes))
    val = None if val_files is None else replace(train, reader=val_files)
    return classes, train, val, f"validation part of {folder.resolve().name}"


def _open_splits(data: str, prefix: str, options: DataOptions, output: str | Path | None) -> _Opened:
    """Open a dataset or a stream that timm names."""
    name, on_hub = data.partition("/")[2], prefix in ("hfds", "hfids")
    if on_hub and Path(name).is_dir():
        refuse_inside(output, name)
    train_split, val_split = options.train_split or "train", options.val_split
    given = None if options.classes is None else _given_classes(options.classes)
    columns = options.image_column, options.label_column
    opening: dict[str, Any] = {"root": options.data_dir, "columns": columns, "download": True}
    train = open_named(data, split=train_split, num_samples=options.train_count, classes=given, **opening)
    classes = _stream_classes(train, given) if train.stream else _names(train)
    if len(classes) < 2:
        raise ValueError(
            f"{data}, split {train_split!r} has a single class, {listed(classes)}: a classifier needs at least two. "
            "Pass another split (--train-split) or another column (--label-column)."
        )
    _check_labels(train, train_split, len(classes))
    if val_split is None:
        val_split = held_out_split(name, train_split=train_split, cache=options.data_dir) if on_hub else "validation"
    if val_split is None and train.stream:
        raise ValueError(f"{data} has no split for validation besides {train_split!r}: pass one (--val-split).")
    if val_split is None:
        return classes, train, None, f"validation part of {name} {train_split}"
    val = open_named(data, split=val_split, num_samples=options.val_count, classes=classes, **opening)
    _check_labels(val, val_split, len(classes))
    return classes, train, val, f"{name} {val_split.partition('|')[0]}"


def _split_indices(
    labels: Sequence[int], classes: Sequence[str], *, share: float, seed: int
) -> tuple[list[int], list[int]]:
    """Put the same share of every class into a validation set, at least one image, and keep the others for training.

    Which images are chosen depends on the seed and on the class's own images alone.
    """
    if not 0 < share < 1:
        raise ValueError(f"val_share={share}: pass a share between 0 and 1, e.g. 0.2 (--val-share).")
    members: dict[int, list[int]] = {}
    for index, label in enumerate(labels):
        members.setdefault(label, []).append(index)
    if lonely := [classes[label] for label, images in sorted(members.items()) if len(images) < 2]:
        raise ValueError(
            f"the classes {listed(lonely)} have a single image: add at least one more to each, for the validation set."
        )
    chosen: set[int] = set()
    for label, images in members.items():
        drawn_from = random.Random(f"{seed}/{classes[label]}".encode(errors="surrogateescape"))
        count = min(max(1, round(len(images) * share)), len(images) - 1)
        chosen.update(drawn_from.sample(images, count))
    return [index for index in range(len(labels)) if index not in chosen], sorted(chosen)


def _check_labels(images: ImageSource, split: str, classes: int) -> None:
    """Check the labels of a dataset; those of a stream are checked when they are read."""
    if images.stream:
        return
    if outside := sorted({label for label in images.labels if not 0 <= label < classes}):
        raise ValueError(
            f"{images.name}, split {split!r}: labels {outside[:3]} are none of its {classes} classes; are they held "
            "back? Pass another split (--train-split, --val-split)."
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


def _stream_classes(images: ImageSource, given: tuple[str, ...] | None) -> tuple[str, ...]:
    known = images.class_names
    if not known and given is None:
        raise ValueError(
            f"{images.name}: the number of classes is unknown. Pass it, or a file with a class name per line in the "
            "order of the labels (--classes)."
        )
    if known and given and len(known) != len(given):
        raise ValueError(
            f"--classes has {len(given)} classes, but {images.name} has {len(known)} classes. Leave --classes out."
        )
    return tuple(known or given or ())


def _given_classes(given: str | int) -> tuple[str, ...]:
    text = str(given)
    if not text.isdecimal() and not Path(text).is_file():
        raise ValueError(
            f"classes={given!r}: pass the number of classes, or a file with a class name per line (--classes)."
        )
    names = tuple(map(str, range(int(text)))) if text.isdecimal() else tuple(read_class_names(text))
    if len(names) < 2:
        raise ValueError(f"classes={given!r}: {len(names)} classes; a classifier needs at least two.")
    return names
