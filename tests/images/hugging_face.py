"""Data sets as on the Hub: parquet files of one-coloured images, and a card that tells classes and counts."""

import io
import json

import pyarrow as arrow
from PIL import Image
from pyarrow import parquet

from ..streams.shards import STEP

CLASSES = ("cat", "dog", "owl")


def make_columns(folder, features, rows):
    """Write a dataset of one split, "train", with columns of these kinds; an image is given as its number."""
    from datasets import Dataset, Features

    features = Features(features)
    held = {}
    for name, values in rows.items():
        picture = features[name].__class__.__name__ == "Image"
        held[name] = [{"bytes": _png(value), "path": None} for value in values] if picture else values
    (folder / "data").mkdir(parents=True, exist_ok=True)
    Dataset.from_dict(held, features=features).to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    return folder


def _png(number):
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), (STEP * number,) * 3).save(picture, "PNG")
    return picture.getvalue()


def make_set(folder, splits, *, card=True, label=lambda number: number % 3, damaged=(), places=None):
    """Write ``splits``, a mapping of names to pairs of images and files; image i is grey of 3 i.

    Those of the numbers in ``damaged`` are no images. With ``places`` these are named instead of holding bytes.
    """
    for split, (count, files) in splits.items():
        for file in range(files):
            rows = {"image": [], "label": []}
            for number in range(file * count // files, (file + 1) * count // files):
                stored = b"no image" if number in damaged else _png(number)
                held = {"bytes": stored, "path": f"{number}.png"}
                rows["image"].append(held if places is None else {"bytes": None, "path": places[number]})
                rows["label"].append(label(number))
            path = folder / "data" / f"{split}-{file:05}-of-{files:05}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            parquet.write_table(arrow.table(rows), path)
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
