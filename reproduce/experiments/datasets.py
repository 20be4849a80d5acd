"""The images that experiments train on: a known dataset, checked, or a subset of it made once."""

import json
import os
import shutil
from pathlib import Path

from gmconv_zoo.data.sources import ImageData, open_data
from gmconv_zoo.files.records import read_results
from gmconv_zoo.saving import CONFIG_NAME

from .arms import DATASETS, Dataset, dataset_of
from .records import RunRecord

__all__ = ["check_recorded", "experiment_data"]


def experiment_data(name: str, data_dir: Path, output: Path) -> str:
    """Return what training opens for a dataset, after checking that it is that dataset.

    Args:
        name: a name that `dataset_of` takes, e.g. "cifar10" or "cifar10:5000".
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
        _check(open_data(place, data_dir=data_dir), dataset, dataset.train, place)
        return place
    subset = output / "data" / name.replace(":", "_")
    if not subset.is_dir():
        whole = open_data(place, data_dir=data_dir)
        _check(whole, dataset, dataset.train, place)
        _write_subset(whole, subset, images // dataset.classes)
    _check(open_data(subset), dataset, images, str(subset))
    return str(subset)


def check_recorded(record: RunRecord, folder: str | Path) -> None:
    """Refuse to record a run under the name of a dataset that it was not trained on.

    Args:
        record: made from the folder.
        folder: output of `gmconv train`.

    Raises:
        ValueError: when classes or numbers of images are not those of the dataset that the record names.
    """
    dataset = next((known for known in DATASETS.values() if known.label == record.dataset), None)
    if dataset is None:
        return
    classes = json.loads((Path(folder) / CONFIG_NAME).read_text(encoding="utf-8"))["num_classes"]
    results = read_results(folder)
    train = results.get("training_images", dataset.train)  # runs of version 0.1 do not say
    found, wanted = (classes, train, record.count), (dataset.classes, dataset.train, dataset.val)
    if found != wanted:
        told = "{} classes, {:,} training and {:,} validation images"
        raise ValueError(
            f"{folder} was trained on {told.format(*found)}, but {record.dataset} has {told.format(*wanted)}: pass "
            "another name for the validation set (--dataset)."
        )


def _check(data: ImageData, dataset: Dataset, train: int, place: str) -> None:
    found = (len(data.classes), len(data.train.labels), len(data.val.labels))
    wanted = (dataset.classes, train, dataset.val)
    if found != wanted:
        told = "{} classes, {:,} training and {:,} validation images"
        raise ValueError(
            f"{place} has {told.format(*found)}, but {dataset.label.split()[0]} has {told.format(*wanted)}: pass "
            "--data-dir with the whole dataset."
        )


def _write_subset(data: ImageData, folder: Path, per_class: int) -> None:
    """Write the first images of every class, and all validation images, as lossless files in a folder."""
    scratch = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    for split, images, most in (("train", data.train, per_class), ("val", data.val, None)):
        counts: dict[int, int] = {}
        for index, label in enumerate(int(label) for label in images.labels):
            counts[label] = counts.get(label, 0) + 1
            if most is not None and counts[label] > most:
                continue
            place = scratch / split / data.classes[label]
            place.mkdir(parents=True, exist_ok=True)
            images.read(index)[0].save(place / f"{index:05d}.png")
    os.replace(scratch, folder)
