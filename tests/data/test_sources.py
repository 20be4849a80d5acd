"""Hugging Face sets to train on: their classes' names, and no image in another's place."""

import io

import numpy as np
import pytest
from PIL import Image

from gmconv_zoo.data import sources
from gmconv_zoo.data.eval_data import EvalSource
from gmconv_zoo.data.pixels import UnreadableImageError
from gmconv_zoo.data.sources import open_data


class Reader:
    """What is used of timm's reader: a column of labels, and open files by index."""

    label_key = "label"

    def __init__(self, files: list[bytes]) -> None:
        self.files, self.dataset = files, {"label": [1, 0, 1]}

    def __getitem__(self, index: int):
        return io.BytesIO(self.files[index]), self.dataset["label"][index]


@pytest.fixture
def hub(monkeypatch):
    def png(value: int) -> bytes:
        buffer = io.BytesIO()
        Image.new("L", (2, 2), value).save(buffer, "png")
        return buffer.getvalue()

    def find(data, *, root, split):
        return EvalSource(str(data), Reader([png(10), png(20)[:40], png(30)]), ["ape", "emu"], ordered=True)

    monkeypatch.setattr(sources, "open_eval_data", find)


def test_names_and_labels_are_the_sets_own(hub):
    data = open_data("hfds/ORG/animals")
    assert data.classes == ("ape", "emu")
    assert list(data.train.labels) == [1, 0, 1]
    assert data.description == "ORG/animals validation"


def test_an_unreadable_image_is_named_and_not_replaced(hub):
    train = open_data("hfds/ORG/animals").train
    assert [np.asarray(train.open(index))[0, 0].tolist() for index in (0, 2)] == [[10] * 3, [30] * 3]
    with pytest.raises(UnreadableImageError, match="image 1 of hfds/ORG/animals"):
        train.open(1)
