"""Read a stream shard by shard: tar files (wds/) or the files of a Hugging Face dataset (hfids/)."""

import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import normalize

from PIL import Image
from timm.data import create_dataset

from ..images.hub_datasets import find_columns, is_text
from ..images.pixels import UnreadableImageError
from ..wording import listed

__all__ = ["Sample", "Shards", "described", "hub_shards", "tar_shards"]

# Rows of a Hugging Face dataset that are read at once
_ROWS = 64


class Sample(NamedTuple):
    """One encoded image of a shard: its name for errors, a function that opens it, and its label."""

    name: str
    open: Callable[[], Any]
    label: int


@dataclass(frozen=True)
class Shards:
    """Files of images that are read from beginning to end, their number of images, and the classes' names, if any.

    Each file is a function that reads it. It yields an error for an image that cannot be used, and for the missing rest
    of a truncated shard.
    """

    count: int
    class_names: list[str] | None
    files: Sequence[Callable[[], Iterator[Sample | UnreadableImageError]]]

    def __len__(self) -> int:
        return self.count


def tar_shards(data: str, root: str | Path | None, split: str, count: int | None) -> Shards:
    """Find the shards of "wds/NAME" in a folder or at an address; the split may be timm's "name-{00..09}.tar|COUNT"."""
    info: Any = create_dataset(data, root=str(root or ""), split=split, num_samples=count).reader  # type: ignore[union-attr]
    paths = [os.path.join(info.root, name) for name in info.split_info.filenames]
    # others are addresses, or commands to read from
    if missing := [path for path in paths if ":" not in path and not os.path.isfile(path)]:
        raise FileNotFoundError(f"the shards {listed(missing)} do not exist")
    files = [partial(_read_tar, path, info.split_info.alt_label) for path in paths]
    return Shards(count or int(info.num_samples or 0), None, files)


def _read_tar(path: str, label_key: str) -> Iterator[Sample | UnreadableImageError]:
    """Read a tar file in which an image and its label have the same name up to the first dot."""
    from webdataset import tarfile_samples

    lost: list[UnreadableImageError] = []

    def handle(error: Exception) -> bool:
        lost.append(UnreadableImageError(described(error)))
        return True

    endings = Image.registered_extensions()
    for fields in tarfile_samples([{"url": path}], handler=handle):
        yield from lost
        lost.clear()
        name = f"{path}, image {fields['__key__']}"
        image = next((content for ending, content in fields.items() if f".{ending}" in endings), None)
        try:
            label = int(json.loads(fields["json"])[label_key] if label_key else fields["cls"])
        except KeyError as error:
            yield UnreadableImageError(f"{name} (its .{error.args[0]} file is missing)")
        except (TypeError, ValueError) as error:
            yield UnreadableImageError(f"{name} (its label: {described(error)})")
        else:
            if image is None:
                yield UnreadableImageError(f"{name} (has a label, but no image)")
            elif label >= 0 or not label_key:  # -1 marks what an index leaves out
                yield Sample(name, partial(io.BytesIO, image), label)
    yield from lost


def hub_shards(
    name: str,
    cache: str | Path | None,
    split: str,
    *,
    count: int | None = None,
    classes: Sequence[str] | None = None,
    columns: tuple[str | None, str | None] = (None, None),
) -> Shards:
    """Find the files of a Hugging Face dataset; text labels are names of classes, and columns may be found."""
    from datasets import Image as ImageColumn
    from datasets import load_dataset_builder

    builder: Any = load_dataset_builder(name, cache_dir=None if cache is None else str(cache))
    rows = builder.as_streaming_dataset(split=split)
    image, label = find_columns(name, rows.features or {}, *columns)
    feature = rows.features[label]
    names = list(classes or ()) if is_text(feature) else list(getattr(feature, "names", ()))
    if is_text(feature) and not names:
        raise ValueError(
            f"the labels in the column {label!r} are text, and a stream does not list its classes: pass a file with a "
            "class name per line (--classes), or read the dataset as hfds/"
        )
    rows = rows.select_columns([image, label]).cast_column(image, ImageColumn(decode=False))
    place = {text: index for index, text in enumerate(names)} if is_text(feature) else {}
    read = partial(_read_hub, name, rows, (image, label), place, getattr(builder, "token", None))
    known = (builder.info.splits or {}).get(split)
    count = count or (known.num_examples if known else 0)
    return Shards(count, names or None, [partial(read, shard) for shard in range(rows.num_shards)])


def _read_hub(
    dataset: str, rows: Any, columns: tuple[str, str], place: dict[str, int], token: Any, shard: int
) -> Iterator[Sample | UnreadableImageError]:
    from datasets import DownloadConfig
    from datasets.utils.file_utils import xopen

    # one by one, torch's loader processes would share the rows once more
    batches = rows.shard(num_shards=rows.num_shards, index=shard).iter(_ROWS)
    pairs = (pair for batch in batches for pair in zip(*(batch[column] for column in columns), strict=True))
    for number, (stored, label) in enumerate(pairs):
        path, content = (stored or {}).get("path"), (stored or {}).get("bytes")
        name = f"{dataset}, {path or f'image {number} of shard {shard}'}"
        label = place.get(normalize("NFC", label), label) if isinstance(label, str) else label
        if not (path or content):
            yield UnreadableImageError(f"{name} (the image is missing)")
        elif label is None or label == "":
            yield UnreadableImageError(f"{name} (has no label in the column {columns[1]!r})")
        elif isinstance(label, str):
            raise ValueError(f"{name}: the class {label!r} is not one of the {len(place)} classes of --classes.")
        elif content:
            yield Sample(name, partial(io.BytesIO, content), int(label))
        else:  # a path may be an address, or lead into an archive
            yield Sample(name, partial(xopen, path, "rb", download_config=DownloadConfig(token=token)), int(label))


def described(error: BaseException) -> str:
    """Return an error in one line; webdataset adds the place to an error's arguments."""
    if isinstance(error, UnreadableImageError) and error.__cause__ is not None:
        error = error.__cause__
    told = [" ".join(str(part).split()) for part in error.args if isinstance(part, (str, int))]
    return f"{type(error).__name__}: {', '.join(told)}" if told else type(error).__name__
