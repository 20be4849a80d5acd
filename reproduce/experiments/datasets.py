"""The images that experiments train on: a known dataset, checked, or a subset of it made once."""

import math
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL.Image import Image

from gmconv_zoo.data.sources import DataOptions, ImageData, open_data

from .arms import DATASETS

__all__ = ["experiment_data", "write_folder"]


def experiment_data(label: str, images: int | None, data_dir: Path, output: Path) -> str:
    """Return what training opens for one of `DATASETS`, after checking that it is that dataset.

    ``data_dir`` contains an image folder of the dataset's name, or torchvision's files. For a number of training
    images, a subset is made in the output folder, as "data/cifar10_5000".
    """
    dataset = DATASETS[label]
    folder = data_dir / dataset.name
    place = str(folder) if folder.is_dir() else f"torch/{dataset.name}"
    if images is None:
        _check(open_data(place, DataOptions(data_dir=data_dir)), label, dataset.train, place)
        return place
    subset = output / "data" / f"{dataset.name}_{images}"
    if not subset.is_dir():
        whole = open_data(place, DataOptions(data_dir=data_dir))
        _check(whole, label, dataset.train, place)
        write_folder(subset, _first_images(whole, images // dataset.classes))
    _check(open_data(subset), label, images, str(subset))
    return str(subset)


def _check(data: ImageData, label: str, train: int, place: str) -> None:
    found = (len(data.classes), len(data.train.labels), len(data.val.labels))
    wanted = (DATASETS[label].classes, train, DATASETS[label].val)
    if found != wanted:
        told = "{} classes, {:,} training and {:,} validation images"
        raise ValueError(
            f"{place} has {told.format(*found)}, but {label.split()[0]} has {told.format(*wanted)}: pass the whole "
            "dataset (--data-dir)."
        )


def write_folder(folder: Path, files: Iterable[tuple[str, Image]]) -> None:
    """Write images to paths in a new folder, which exists only when all of them are written."""
    scratch = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    for name, image in files:
        place = scratch / name
        place.parent.mkdir(parents=True, exist_ok=True)
        image.save(place)
    os.replace(scratch, folder)


def _first_images(data: ImageData, per_class: int) -> Iterator[tuple[str, Image]]:
    """Yield the first images of every class, and all validation images, as lossless files of an image folder."""
    for split, images, most in (("train", data.train, per_class), ("val", data.val, math.inf)):
        counts: Counter[int] = Counter()
        for index, label in enumerate(int(label) for label in images.labels):
            counts[label] += 1
            if counts[label] <= most:
                yield f"{split}/{data.classes[label]}/{index:05d}.png", images.read(index)[0]
