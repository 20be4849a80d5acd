"""Open training streams by timm's names: webdataset shards (wds/) and streamed Hugging Face datasets (hfids/)."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..images.hub_datasets import held_out_split
from ..images.label_files import read_class_names
from .shards import Shards, open_shards

__all__ = ["StreamData", "StreamOptions", "is_stream", "open_stream"]

_PACKAGES = {"wds": "webdataset", "hfids": "datasets"}


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """Facts about a stream that the dataset itself may not contain.

    Attributes:
        train_split, val_split: splits of the dataset; for wds/ also timm's pattern of shards,
            "name-{00..09}.tar|COUNT". By default "train" and "validation"; for hfids/ also another name of
            "validation", or "test" if there is none.
        train_count: number of training images; None if the split or an index contains it.
        val_count: number of validation images; None if the split or an index contains it.
        classes: number of classes, or a file with a class name per line in the order of the labels; None if the
            dataset names its classes (hfids/).
        image_column, label_column: image and label column of a Hugging Face dataset; None to find them by their
            features.
    """

    train_split: str | None = None
    val_split: str | None = None
    train_count: int | None = None
    val_count: int | None = None
    classes: str | int | None = None
    image_column: str | None = None
    label_column: str | None = None


@dataclass(frozen=True)
class StreamData:
    """Streams of training and validation images.

    Attributes:
        classes: names, in the order of the labels.
        train: shards of the training images, which all processes share.
        val: shards of the validation images, which one process reads for all.
        description: name of the validation set, for records.
    """

    classes: tuple[str, ...]
    train: Shards
    val: Shards
    description: str


def is_stream(data: str | Path) -> bool:
    """Return whether a name is that of a stream and not of a folder."""
    return str(data).partition("/")[0].lower() in _PACKAGES and "/" in str(data) and not Path(data).exists()


def open_stream(
    data: str,
    *,
    options: StreamOptions | None = None,
    data_dir: str | Path | None = None,
    processes: int = 1,
) -> StreamData:
    """Find the shards of a dataset; they are read when an epoch begins.

    Args:
        data: "wds/NAME" or "hfids/NAME".
        options: splits, counts, classes and columns.
        data_dir: for wds/ the folder or address of the shards, for hfids/ the cache.
        processes: number of processes that share the shards.

    Raises:
        ValueError: when a package, the shards, the number of images or the classes are missing, or when there are more
            processes than shards.
    """
    options = options or StreamOptions()
    prefix = data.partition("/")[0].lower()
    if find_spec(_PACKAGES[prefix]) is None:
        raise ValueError(
            f'{data} needs {_PACKAGES[prefix]}: run pip install "gmconv_zoo[streams]", or in a checkout '
            'pip install ".[streams]".'
        )
    names = None if options.classes is None else _given_classes(options.classes)
    train_split = options.train_split or "train"
    val_split = _held_out(data, prefix, options.val_split, train_split, data_dir)
    opening: dict[str, Any] = {"root": data_dir, "classes": names}
    opening["columns"] = options.image_column, options.label_column
    train = open_shards(data, split=train_split, count=options.train_count, **opening)
    val = open_shards(data, split=val_split, count=options.val_count, **opening)
    if (shards := len(train.files)) < processes:
        raise ValueError(
            f"{data}, split {train_split!r}: {shards} shards cannot be shared by {processes} processes. Start at most "
            f"{shards} processes, or write the images into more shards."
        )
    return StreamData(
        _classes(data, train.class_names, names), train, val, f"{data.partition('/')[2]} {val_split.partition('|')[0]}"
    )


def _held_out(data: str, prefix: str, split: str | None, train_split: str, cache: str | Path | None) -> str:
    if split is None and prefix == "hfids":
        split = held_out_split(data.partition("/")[2], train_split=train_split, cache=cache)
        if split is None:
            raise ValueError(f"{data} has no split for validation besides {train_split!r}: pass one (--val-split).")
    return split or "validation"


def _classes(data: str, known: Sequence[str] | None, given: tuple[str, ...] | None) -> tuple[str, ...]:
    if not known and given is None:
        raise ValueError(
            f"{data}: the number of classes is unknown. Pass it, or a file with a class name per line in the order of "
            "the labels (--classes)."
        )
    if known and given and len(known) != len(given):
        raise ValueError(
            f"--classes has {len(given)} classes, but {data} has {len(known)} classes. Leave --classes out."
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
