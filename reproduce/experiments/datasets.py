"""The images that experiments train on: a known dataset, checked, or a subset of it made once."""

import json
import math
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL.Image import Image

from gmconv_zoo.data.sources import DataOptions, ImageData, open_data
from gmconv_zoo.files.records import read_results
from gmconv_zoo.saving import CONFIG_NAME

from .arms import DATASETS, Dataset, dataset_of
from .records import RunRecord

__all__ = ["check_recorded", "experiment_data", "write_folder"]


def experiment_data(name: str, data_dir: Path, output: Path) -> str:
    """Return what training opens for a dataset, after checking that it is that dataset.

    Args:
        name: a name that `dataset_of` takes.
        data_dir: contains an image folder of the dataset's name, or torchvision's files.
        output: folder in which a subset is made, as "data/cifar10_5000".

    Raises:
        ValueError: when the images have other classes or another number than the dataset.
    """
    dataset, images = dataset_of(name)
    key = name.partition(":")[0]
    folder = data_dir / key
    place = str(folder) if folder.is_dir() else f"torch/{key}"
    if images is None:
        _check(open_data(place, DataOptions(data_dir=data_dir)), dataset, dataset.train, place)
        return place
    subset = output / "data" / name.replace(":", "_")
    if not subset.is_dir():
        whole = open_data(place, DataOptions(data_dir=data_dir))
        _check(whole, dataset, dataset.train, place)
        write_folder(subset, _first_images(whole, images // dataset.classes))
    _check(open_data(subset), dataset, images, str(subset))
    return str(subset)


def check_recorded(record: RunRecord, folder: str | Path) -> None:
    """Refuse to record the run in a folder under the name of a dataset that it was not trained on.

    Raises:
        ValueError: when classes or numbers of images are not those of the dataset that the record names.
    """
    dataset = next((known for known in DATASETS.values() if known.label == record.dataset), None)
    if dataset is None:
        return
    classes = json.loads((Path(folder) / CONFIG_NAME).read_text(encoding="utf-8"))["num_classes"]
    results = read_results(folder)
    train = results.get("training_images", dataset.train)  # runs of version 0.1 do not say
    remedy = "pass another name for the validation set (--dataset)"
    wanted = (dataset.classes, dataset.train, dataset.val)
    _compare(f"{folder} was trained on", (classes, train, record.count), record.dataset, wanted, remedy)


def _check(data: ImageData, dataset: Dataset, train: int, place: str) -> None:
    found = (len(data.classes), len(data.train.labels), len(data.val.labels))
    wanted = (dataset.classes, train, dataset.val)
    _compare(f"{place} has", found, dataset.label.split()[0], wanted, "pass --data-dir with the whole dataset")


def _compare(subject: str, found: tuple[int | None, ...], name: str, wanted: tuple[int, ...], remedy: str) -> None:
    """Refuse other numbers of classes, training images and validation images than those of a dataset."""
    if found != wanted:
        told = "{} classes, {:,} training and {:,} validation images"
        raise ValueError(f"{subject} {told.format(*found)}, but {name} has {told.format(*wanted)}: {remedy}.")


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
