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
from .eval_data import STREAMS, name_prefix, open_named

__all__ = ["ImageData", "open_data"]


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


def open_data(
    data: str | Path,
    *,
    data_dir: str | Path | None = None,
    train_split: str | None = None,
    val_split: str | None = None,
    train_count: int | None = None,
    val_count: int | None = None,
    classes: str | int | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    val_share: float = 0.2,
    seed: int = 0,
    output: str | Path | None = None,
) -> ImageData:
    """Open the training and validation images of a dataset; those of a stream are read when an epoch begins.

    Args:
        data: a folder as in `read_folder`; a dataset that timm names, such as "torch/cifar10" or "hfds/NAME"; or a
            stream, "wds/NAME" or "hfids/NAME".
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
        val_share, seed: share and seed of the validation set, if the dataset has none.
        output: folder that will be written; it must be outside of a folder of images.

    Raises:
        ValueError: when a package, the dataset, its classes, its splits or a stream's number of images are missing,
            labels are not classes, or the output is inside the dataset's folder.
    """
    prefix, (_, _, name) = name_prefix(data), str(data).partition("/")
    if prefix not in STREAMS and (train_count or val_count or classes):
        raise ValueError(f"{data} is not a stream: leave out --train-count, --val-count and --classes.")
    if prefix in ("", "torch"):
        if train_split or val_split:
            raise ValueError(f"{data} has no splits to choose from (--train-split, --val-split): leave them out.")
        refuse_columns(data, image_column, label_column)
    if not prefix:
        known, files, val_files = read_folder(data, output=output)
        train = ImageSource(str(data), files, list(known))
        val = None if val_files is None else replace(train, reader=val_files)
        description = f"validation part of {Path(data).resolve().name}"
    else:
        if prefix in ("hfds", "hfids") and Path(name).is_dir():
            refuse_inside(output, name)
        train_split, given = train_split or "train", None if classes is None else _given_classes(classes)
        opening: dict[str, Any] = {"root": data_dir, "columns": (image_column, label_column), "download": True}
        train = open_named(str(data), split=train_split, num_samples=train_count, classes=given, **opening)
        known = _stream_classes(train, given) if train.stream else _names(train)
        _check_labels(train, train_split, len(known))
        if val_split is None and prefix in ("hfds", "hfids"):
            val_split = held_out_split(name, train_split=train_split, cache=data_dir)
            if val_split is None and train.stream:
                raise ValueError(f"{data} has no split for validation besides {train_split!r}: pass one (--val-split).")
        else:
            val_split = val_split or "validation"
        val, description = None, f"validation part of {name} {train_split}"
        if val_split is not None:
            val = open_named(str(data), split=val_split, num_samples=val_count, classes=known, **opening)
            _check_labels(val, val_split, len(known))
            description = f"{name} {val_split.partition('|')[0]}"
    if val is not None:
        return ImageData(known, train, val, description)
    train, val = map(train.part, _split_indices(train.labels, known, share=val_share, seed=seed))
    return ImageData(known, train, val, description, split_made=True)


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
