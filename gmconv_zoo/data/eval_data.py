"""Open one split of a dataset: a folder, a tar file, or a dataset that timm names."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from timm.data import create_dataset

from ..images.folder import LabelledFiles, read_split
from ..images.hub_datasets import HubReader, refuse_columns
from ..images.image_source import ImageSource, TorchReader
from ..images.label_files import read_class_names, read_labels
from ..images.listing import list_images
from ..images.tar_reader import TarReader
from ..streams.shards import hub_shards, tar_shards
from ..wording import listed

__all__ = ["STREAMS", "name_prefix", "open_eval_data", "open_named"]

# The prefixes of names that timm knows, with the packages that read them
_PACKAGES = {"torch": "torchvision", "hfds": "datasets", "hfids": "datasets", "wds": "webdataset"}
STREAMS = ("hfids", "wds")


def open_eval_data(
    data: str | Path,
    *,
    root: str | Path | None = None,
    split: str = "validation",
    labels: str | Path | None = None,
    num_samples: int | None = None,
    classes: str | Path | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    output: str | Path | None = None,
) -> ImageSource:
    """Find the images of one split of a dataset.

    Args:
        data: a folder with one folder per class, or with splits that contain such folders; a tar file; a flat
            folder if labels are given; or timm's "torch/NAME", "hfds/NAME", "hfids/NAME", "wds/NAME".
        root: folder in which a named dataset is stored.
        split: name of the split; for wds/ also timm's pattern of shards, "name-{00..09}.tar|COUNT".
        labels: file with the labels of a flat folder: ImageNet's ground-truth file (with the kit's meta.mat or
            map_clsloc.txt next to it), one WordNet id per line, or a file name and a label per line.
        num_samples: number of images in a stream without an index.
        classes: file with the class names, one per line in the order of the labels, for a dataset without names.
        image_column, label_column: image and label columns of "hfds/NAME" and "hfids/NAME"; None to find them by
            their features.
        output: folder that will be written; it must be outside of a folder of images.

    Raises:
        ValueError: when the dataset does not exist, the dataset or one of its classes has no images, the number of
            images in a stream is unknown, or class names are passed for a dataset that has its own.
    """
    path = Path(data)
    if labels is not None or not name_prefix(data):
        refuse_columns(data, image_column, label_column)
    if labels is not None:
        source = _flat(path, labels, output)
    elif path.is_file():
        tar = TarReader(path)
        source = ImageSource(str(path), tar, tar.classes)
    elif path.exists():
        names, files = read_split(path, split, output=output)
        source = ImageSource(str(files.root), files, list(names))
    else:
        columns = image_column, label_column
        source = open_named(str(data), root=root, split=split, num_samples=num_samples, columns=columns)
    if classes is None:
        return source
    if source.class_names is not None:
        raise ValueError(f"{source.name} names its classes, e.g. {source.class_names[:3]}: leave classes out.")
    return replace(source, class_names=read_class_names(classes), ordered=True)


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
    images in a stream is missing.
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


def _flat(folder: Path, labels: str | Path, output: str | Path | None) -> ImageSource:
    if not folder.is_dir():
        raise ValueError(f"labels (--labels) need a flat folder of images, but {str(folder)!r} is not a folder.")
    files = sorted(list_images(folder, output=output)[0], key=lambda file: file.name)
    if not files:
        raise ValueError(f"{folder}: no images; pass the folder that holds them when labels are given.")
    if twice := [name for name, count in Counter(file.name for file in files).items() if count > 1]:
        raise ValueError(
            f"{folder}: several images are called {listed(twice)}: give every image that has a label its own name."
        )
    values, names = read_labels(labels, files)
    return ImageSource(str(folder), LabelledFiles(tuple(files), tuple(values), folder), names)
