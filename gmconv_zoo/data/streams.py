"""Streams to train on, by timm's names: webdataset shards (wds/) and Hugging Face data sets as they come (hfids/)."""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from timm.data import create_dataset

from .eval_data import open_eval_data
from .hub_splits import held_out_split
from .label_files import read_class_names

__all__ = ["StreamData", "StreamOptions", "is_stream", "open_stream"]

_PACKAGES = {"wds": "webdataset", "hfids": "datasets"}
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """What a stream does not say of itself.

    Attributes:
        train_split, val_split: of the data set; for wds/ also timm's pattern of shards, "name-{00..09}.tar|COUNT". By
            default "train" and "validation", or for hfids/ what it has of the like, "test" included.
        train_count: images to train on, where neither the split nor an index says it.
        val_count: the same of those held out.
        classes: how many there are, or a file with a name per line, in the order of the labels; None where the data
            set has names (hfids/).
    """

    train_split: str | None = None
    val_split: str | None = None
    train_count: int | None = None
    val_count: int | None = None
    classes: str | int | None = None


@dataclass(frozen=True)
class StreamData:
    """Streams to train on and held out.

    Attributes:
        classes: names, in the order of the labels.
        train: timm's reader in training mode, for this process.
        train_count: images in it, over all processes.
        shards: how many files they lie in.
        val, val_count, val_shards: timm's reader of all that is held out, which one process reads for all, how many
            images that is and in how many files.
        description: of what is held out, for records.
    """

    classes: tuple[str, ...]
    train: Any
    train_count: int
    shards: int
    val: Any
    val_count: int
    val_shards: int
    description: str


def is_stream(data: str | Path) -> bool:
    """Whether a name is that of a stream, and of no folder."""
    return str(data).partition("/")[0].lower() in _PACKAGES and "/" in str(data) and not Path(data).exists()


def open_stream(
    data: str,
    *,
    options: StreamOptions | None = None,
    data_dir: str | Path | None = None,
    processes: int = 1,
    batch_size: int = 1,
    seed: int = 0,
) -> StreamData:
    """Find the shards that a name stands for; they are read when an epoch begins.

    Args:
        data: "wds/NAME" or "hfids/NAME".
        options: splits, counts and classes.
        data_dir: for wds/ the folder or address of the shards, for hfids/ the cache.
        processes: that share the shards; timm's reader asks torch.distributed which of them this one is.
        batch_size: images per batch of one process.
        seed: of the order.

    Raises:
        ValueError: when a package, the shards, the number of images or the classes are missing, or there are more
            processes than shards.
    """
    options = options or StreamOptions()
    prefix = data.partition("/")[0].lower()
    if find_spec(_PACKAGES[prefix]) is None:
        raise ValueError(
            f'{data} needs {_PACKAGES[prefix]}: run pip install "gmconv_zoo[streams]", or in a checkout '
            'pip install ".[streams]".'
        )
    train_split = options.train_split or "train"
    val_split = _held_out(data, prefix, options.val_split, train_split, data_dir)
    reader = _training_reader(data, train_split, options.train_count, data_dir, batch_size, seed)
    _check_files(data, reader)
    shards = _shards(reader, train_split)
    if shards < processes:
        raise ValueError(
            f"{data}, split {train_split!r}: {shards} shards cannot be shared by {processes} processes. Start "
            f"at most {shards}, or write the images into more shards."
        )
    held_out = open_eval_data(data, root=data_dir, split=val_split, num_samples=options.val_count)
    _check_files(data, held_out.reader)
    described = f"{data.partition('/')[2]} {val_split.partition('|')[0]}"
    return StreamData(
        classes=_classes(data, reader, options.classes),
        train=reader,
        train_count=int(reader.num_samples),
        shards=shards,
        val=held_out.reader,
        val_count=int(held_out.reader.num_samples),
        val_shards=_shards(held_out.reader, val_split),
        description=described,
    )


def _held_out(data: str, prefix: str, split: str | None, train_split: str, cache: str | Path | None) -> str:
    if split is None and prefix == "hfids":
        split = held_out_split(data.partition("/")[2], train_split=train_split, cache=cache)
        if split is None:
            raise ValueError(f"{data} has no split to hold out beside {train_split!r}: pass one (--val-split).")
    return split or "validation"


def _training_reader(
    data: str, split: str, count: int | None, data_dir: str | Path | None, batch_size: int, seed: int
) -> Any:
    root = None if data_dir is None else str(data_dir)
    root = (root or "") if data.lower().startswith("wds/") else root
    settings: dict[str, Any] = {"root": root, "split": split, "num_samples": count}
    settings |= {"batch_size": batch_size, "seed": seed, "input_img_mode": "RGB", "is_training": True}
    try:
        return create_dataset(data, **settings).reader  # type: ignore[union-attr]
    except (AssertionError, ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        if "num_samples" in str(error):
            raise ValueError(
                f"{data}, split {split!r}: how many images there are is unknown. Pass train_count "
                "(--train-count N); for wds/ also --train-split 'NAME-{00..09}.tar|N', or an _info.json beside the "
                "shards."
            ) from error
        raise ValueError(
            f"{data} in {root or 'no folder'}, split {split!r}: {error or type(error).__name__}. Pass "
            "the shards' place (--data-dir) and split (--train-split, --val-split)."
        ) from error


def _check_files(data: str, reader: Any) -> None:
    """Files that are not there: timm's reader would go on without them."""
    names = getattr(getattr(reader, "split_info", None), "filenames", ())
    paths = [os.path.join(reader.root, name) for name in names]
    here = [path for path in paths if ":" not in path]  # not an address, nor a command to read from
    if missing := [path for path in here if not os.path.isfile(path)]:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise ValueError(f"{data}: no shard at {', '.join(missing[:_SHOWN])}{more}. Check --data-dir and the split.")


def _shards(reader: Any, split: str) -> int:
    if hasattr(reader, "split_info"):
        return len(reader.split_info.filenames)
    return int(reader.builder.as_streaming_dataset(split=split).num_shards)


def _classes(data: str, reader: Any, given: str | int | None) -> tuple[str, ...]:
    known = tuple(sorted(reader.class_to_idx, key=reader.class_to_idx.get)) if reader.class_to_idx else ()
    if given is None:
        if not known:
            raise ValueError(
                f"{data}: how many classes there are is unknown. Pass their number, or a file with a name per line in "
                "the order of the labels (--classes)."
            )
        return known
    text = str(given)
    if text.isdigit():
        names = tuple(map(str, range(int(text))))
    elif Path(text).is_file():
        names = tuple(read_class_names(text))
    else:
        raise ValueError(f"classes={given!r}: pass a number, or a file with a name per line.")
    if len(names) < 2:
        raise ValueError(f"classes={given!r}: {len(names)} classes; a classifier needs at least two.")
    if known and len(known) != len(names):
        raise ValueError(f"classes={given!r}: {len(names)} classes, but {data} has {len(known)}. Leave it out.")
    return known or names
