"""Open one split of a dataset that timm names: torchvision's, Hugging Face's, or a stream."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from timm.data import create_dataset

from ..images.hub_datasets import HubReader, refuse_columns
from ..images.image_source import ImageSource, TorchReader
from ..streams.shards import hub_shards, tar_shards

__all__ = ["STREAMS", "name_prefix", "open_named"]

# The prefixes of names that timm knows, with the packages that read them
_PACKAGES = {"torch": "torchvision", "hfds": "datasets", "hfids": "datasets", "wds": "webdataset"}
STREAMS = ("hfids", "wds")


def name_prefix(data: str | Path) -> str:
    """Return the prefix of a name that timm knows, e.g. "wds" of "wds/NAME"; empty for a folder or a file."""
    prefix, slash, _ = str(data).partition("/")
    return prefix.lower() if slash and prefix.lower() in _PACKAGES and not Path(data).exists() else ""


def open_named(
    data: str,
    *,
    root: str | Path | None,
    split: str,
    num_samples: int | None = None,
    columns: tuple[str | None, str | None] = (None, None),
    classes: Sequence[str] | None = None,
    download: bool = False,
) -> ImageSource:
    """Open one split of a dataset that timm names: "torch/NAME", "hfds/NAME", "hfids/NAME" or "wds/NAME".

    Arguments are as in `open_eval_data`. Text labels of a Hugging Face dataset refer to the classes, and a torchvision
    dataset that is missing may be downloaded. ValueError when a package, the dataset, the split, or the number of
    images in a stream is missing, or columns are chosen in a dataset without columns.
    """
    prefix, name = name_prefix(data), data.partition("/")[2]
    if not prefix:
        raise ValueError(
            f"{data!r}: the folder does not exist. Pass a folder, torch/NAME, hfds/NAME, hfids/NAME or wds/NAME."
        )
    if find_spec(_PACKAGES[prefix]) is None:
        raise ValueError(
            f'{data} needs {_PACKAGES[prefix]}: run pip install "gmconv_zoo[streams]", or in a checkout '
            'pip install ".[streams]".'
        )
    if prefix in ("torch", "wds"):
        refuse_columns(data, *columns)
    if prefix == "torch" and root is None:
        raise ValueError(f"{data}: pass the folder in which it is stored or downloaded to (--data-dir).")
    try:
        if prefix == "torch":
            dataset: Any = create_dataset(data, root=str(root), split=split, download=download)
            names = getattr(dataset, "wnids", None) or getattr(dataset, "classes", None)
            return ImageSource(data, TorchReader(dataset), names, ordered=True)
        if prefix == "hfds":
            reader = HubReader(name, split=split, cache=root, columns=columns, classes=classes)
            return ImageSource(data, reader, reader.class_names, ordered=not reader.sorted)
        if prefix == "wds":
            shards = tar_shards(data, root, split, num_samples)
        else:
            shards = hub_shards(name, root, split, count=num_samples, classes=classes, columns=columns)
    except (AssertionError, ImportError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        place = data if root is None else f"{data} in {root} (--data-dir)"
        asked = f"split {split!r} (--train-split, --val-split; in validation --split)"
        raise ValueError(f"{place}, {asked}: {error or type(error).__name__}") from error
    if not len(shards):
        raise ValueError(
            f"{data}, split {split!r}: the number of images is unknown, so lost images would not be noticed. Pass it "
            "as --train-count and --val-count (in validation as --num-samples). For wds/ it may also be part of the "
            "split, as in 'NAME-{00..09}.tar|COUNT', or be stored in an _info.json next to the shards."
        )
    return ImageSource(data, shards, shards.class_names, ordered=True, stream=True)
