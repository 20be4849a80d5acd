"""The images that experiments train on: a known dataset, checked, or a subset of it made once."""

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL.Image import Image

from gmconv_zoo.data.sources import DataOptions, ImageData, open_data
from gmconv_zoo.files.records import read_results
from gmconv_zoo.saving import CONFIG_NAME

from .arms import DATASETS
from .records import RunRecord

__all__ = ["check_recorded", "experiment_data", "write_folder"]


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


def check_recorded(record: RunRecord, folder: str | Path) -> None:
    """Refuse to record the run in a folder under the name of a dataset that it was not trained on."""
    if record.dataset in DATASETS:
        dataset = DATASETS[record.dataset]
        classes = json.loads((Path(folder) / CONFIG_NAME).read_text(encoding="utf-8"))["num_classes"]
        train = read_results(folder).get("training_images", dataset.train)  # runs of version 0.1 do not say
        remedy = "pass another name for the validation set (--dataset)"
        _compare(f"{folder} was trained on", (classes, train, record.count), record.dataset, dataset.train, remedy)


def _check(data: ImageData, label: str, train: int, place: str) -> None:
    found = (len(data.classes), len(data.train.labels), len(data.val.labels))
    _compare(f"{place} has", found, label, train, "pass the whole dataset (--data-dir)")


def _compare(subject: str, found: tuple[int | None, ...], label: str, train: int, remedy: str) -> None:
    """Refuse other numbers of classes, training images and validation images than those of a dataset."""
    wanted = (DATASETS[label].classes, train, DATASETS[label].val)
    if found != wanted:
        told = "{} classes, {:,} training and {:,} validation images"
        name = label.split()[0]
        raise ValueError(f"{subject} {told.format(*found)}, but {name} has {told.format(*wanted)}: {remedy}.")


def write_folder(folder: Path, files: Iterable[tuple[str, Image]]) -> None:
    """Write images to paths in a new folder, which exists only when all of them are written.

    Processes may write the same folder at the same time; the first one that has written everything makes it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as scratch:
        written = Path(scratch) / folder.name
        for name, image in files:
            place = written / name
            place.parent.mkdir(parents=True, exist_ok=True)
            image.save(place)
        try:
            os.replace(written, folder)
        except OSError:
            if not folder.is_dir():
                raise


def _first_images(data: ImageData, per_class: int) -> Iterator[tuple[str, Image]]:
    """Yield the first images of every class, and all validation images, as lossless files of an image folder."""
    for split, images, most in (("train", data.train, per_class), ("val", data.val, math.inf)):
        counts: Counter[int] = Counter()
        for index, label in enumerate(int(label) for label in images.labels):
            counts[label] += 1
            if counts[label] <= most:
                yield f"{split}/{data.classes[label]}/{index:05d}.png", images.read(index)[0]
