"""Open one part of a dataset by whatever name: a folder, a tar file, or a dataset by timm's name."""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from timm.data import create_dataset

from .folder import LabelledFiles, read_split
from .image_source import FileReader, HubReader, ImageSource, TorchReader
from .label_files import read_class_names, read_labels
from .listing import list_images, listed, refuse_inside

__all__ = ["open_eval_data", "open_named"]

_NAMED = ("torch", "hfds", "hfids", "wds")


def open_eval_data(
    data: str | Path,
    *,
    root: str | Path | None = None,
    split: str = "validation",
    labels: str | Path | None = None,
    id_map: str | Path | None = None,
    num_samples: int | None = None,
    classes: str | Path | None = None,
    output: str | Path | None = None,
) -> ImageSource:
    """Find the images of one part of a dataset.

    Args:
        data: a folder with one folder per class, or with splits that hold such folders (see `read_folder`); a tar
            file; a flat folder if labels are given; or timm's "torch/NAME", "hfds/NAME", "hfids/NAME", "wds/NAME".
        root: folder in which a named dataset is stored.
        split: name of the split; for wds/ also timm's pattern of shards, "name-{00..09}.tar|COUNT".
        labels: file with the labels of a flat folder, see `label_files`.
        id_map: see `label_files`.
        num_samples: number of images in a stream whose own index does not say it.
        classes: file with the classes' names, one per line in the order of the labels, for a dataset that has none.
        output: folder that will be written; it must be outside of a folder of images.

    Returns:
        The source, to be given a transform by `eval_images`.

    Raises:
        ValueError: when the dataset does not exist, or it has no images, or a class of it has none; for a stream
            whose number of images is unknown; for names of a dataset that has its own.
    """
    source = _open(data, root=root, split=split, labels=labels, id_map=id_map, num_samples=num_samples, output=output)
    if classes is None:
        return source
    if source.class_names is not None:
        raise ValueError(f"{source.name} names its classes, e.g. {source.class_names[:3]}: leave classes out.")
    return replace(source, class_names=read_class_names(classes), ordered=True)


def open_named(
    data: str, *, root: str | Path | None, split: str, num_samples: int | None = None, download: bool = False
) -> ImageSource:
    """Open one part of a dataset by timm's name.

    Args:
        data: "torch/NAME", "hfds/NAME", "hfids/NAME" or "wds/NAME".
        root: folder in which the dataset is stored.
        split: name of the split.
        num_samples: number of images in a stream whose own index does not say it.
        download: whether a dataset of torchvision's is downloaded where it is missing.

    Raises:
        ValueError: when there is no such dataset or split, or the number of images in a stream is unknown.
    """
    prefix = data.partition("/")[0].lower()
    options: dict[str, Any] = {"root": None if root is None else str(root), "split": split}
    if prefix == "torch":
        if root is None:
            raise ValueError(f"{data}: pass root (--data-dir), the folder in which it is stored.")
        options["download"] = download
    if prefix in ("hfids", "wds"):
        options["num_samples"] = num_samples
    if prefix == "wds":
        options["root"] = str(root or "")
    try:
        dataset: Any = create_dataset(data, **options)
    except (AssertionError, ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        place = data if root is None else f"{data} in {root}"
        raise ValueError(f"{place}, split {split!r}: {error or type(error).__name__}") from error
    if prefix == "torch":
        names = getattr(dataset, "wnids", None) or getattr(dataset, "classes", None)
        return ImageSource(data, TorchReader(dataset), names, ordered=True, count=len(dataset))
    reader = dataset.reader
    names = None
    if prefix in ("hfds", "hfids"):
        names = sorted(reader.class_to_idx, key=reader.class_to_idx.get) or None
    if prefix == "hfds":
        images = HubReader(reader.dataset, reader.image_key, reader.label_key, data)
        return ImageSource(data, images, names, ordered=True, count=len(images))
    if not reader.num_samples:
        raise ValueError(
            f"{data} does not say how many images it has, so that lost ones would not be noticed: pass num_samples "
            "(--num-samples, in training --val-count), or write it into the split as 'name-{00..09}.tar|COUNT'."
        )
    reader.dist_rank, reader.dist_num_replicas, reader.global_num_workers = 0, 1, 1  # one process reads for all
    return ImageSource(data, reader, names, ordered=True, stream=True, count=reader.num_samples)


def _open(
    data: str | Path,
    *,
    root: str | Path | None,
    split: str,
    labels: str | Path | None,
    id_map: str | Path | None,
    num_samples: int | None,
    output: str | Path | None,
) -> ImageSource:
    if os.path.isfile(data) and labels is None:
        return _tar(Path(data))
    if os.path.exists(data):
        folder = Path(data)
        return _folder(folder, split, output) if labels is None else _flat(folder, labels, id_map, output)
    if labels is not None:
        raise ValueError(f"labels go with a flat folder of images; {str(data)!r} is not a folder.")
    prefix, slash, _ = str(data).partition("/")
    if prefix.lower() not in _NAMED or not slash:
        raise ValueError(f"{str(data)!r}: no such folder; pass one, or torch/NAME, hfds/NAME, hfids/NAME or wds/NAME.")
    return open_named(str(data), root=root, split=split, num_samples=num_samples)


def _folder(folder: Path, split: str, output: str | Path | None) -> ImageSource:
    root, names, files = read_split(folder, split, output=output)
    return ImageSource(str(root), FileReader(files, root), list(names), count=len(files.paths))


def _flat(folder: Path, labels: str | Path, id_map: str | Path | None, output: str | Path | None) -> ImageSource:
    if not folder.is_dir():
        raise ValueError(f"labels go with a flat folder of images; {str(folder)!r} is not a folder.")
    listing = list_images(folder)
    if output is not None:
        refuse_inside(output, folder, listing.real_folders)
    files = sorted(listing.images, key=lambda file: file.name)
    if not files:
        raise ValueError(f"{folder}: no images; pass the folder that holds them when labels are given.")
    if twice := [name for name, count in Counter(file.name for file in files).items() if count > 1]:
        raise ValueError(f"{folder}: several images are called {listed(twice)}; labels need a name each.")
    values, names = read_labels(labels, files, id_map=id_map)
    reader = FileReader(LabelledFiles(tuple(files), tuple(values)), folder)
    return ImageSource(str(folder), reader, names, count=len(files))


def _tar(file: Path) -> ImageSource:
    try:
        reader: Any = create_dataset("", root=str(file)).reader  # type: ignore[union-attr]
    except RuntimeError as error:
        raise ValueError(f"{file}: {error}.") from error
    names = [reader.class_idx_to_name[index] for index in sorted(reader.class_idx_to_name)]
    return ImageSource(str(file), reader, names, count=len(reader))
