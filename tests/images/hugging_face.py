"""Data sets as on the Hub: parquet files of one-coloured images, and a card that tells classes and counts."""

import json

import pyarrow as arrow
from pyarrow import parquet

from ..streams.shards import png

CLASSES = ("cat", "dog", "owl")


def make_columns(folder, features, rows):
    """Write a dataset of one split, "train", with columns of these kinds; an image is given as its number."""
    from datasets import Dataset, Features

    features = Features(features)
    held = {}
    for name, values in rows.items():
        picture = features[name].__class__.__name__ == "Image"
        held[name] = [{"bytes": png(value), "path": None} for value in values] if picture else values
    (folder / "data").mkdir(parents=True, exist_ok=True)
    Dataset.from_dict(held, features=features).to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    return folder


def make_set(folder, splits, *, card=True, label=lambda number: number % 3, damaged=(), places=None):
    """Write ``splits``, a mapping of names to pairs of images and files; image i is grey of 3 i.

    Those of the numbers in ``damaged`` are no images. With ``places`` these are named instead of holding bytes.
    """

    def stored(number):
        if places is not None:
            return {"bytes": None, "path": places[number]}
        return {"bytes": b"no image" if number in damaged else png(number), "path": f"{number}.png"}

    (folder / "data").mkdir(parents=True, exist_ok=True)
    for split, (count, files) in splits.items():
        for file in range(files):
            numbers = range(file * count // files, (file + 1) * count // files)
            rows = {"image": [stored(number) for number in numbers], "label": [label(number) for number in numbers]}
            parquet.write_table(arrow.table(rows), folder / "data" / f"{split}-{file:05}-of-{files:05}.parquet")
    names = {str(index): name for index, name in enumerate(CLASSES)}
    told = {
        "features": [
            {"name": "image", "dtype": "image"},
            {"name": "label", "dtype": {"class_label": {"names": names}}},
        ],
        "splits": [{"name": split, "num_bytes": 1000, "num_examples": count} for split, (count, _) in splits.items()],
    }
    told = told if card else {"features": told["features"]}
    (folder / "README.md").write_text("---\n" + json.dumps({"dataset_info": told}) + "\n---\n")
    return folder
