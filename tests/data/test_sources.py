"""Hugging Face sets to train on: their classes' names, their splits, and no image in another's place."""

import numpy as np
import pytest
from datasets import Image, Value

from gmconv_zoo.data.sources import DataOptions, open_data
from gmconv_zoo.images.hub_datasets import held_out_split
from gmconv_zoo.images.image_source import ImageSource, TorchReader
from gmconv_zoo.images.pixels import UnreadableImageError
from tests.images.hugging_face import CLASSES, make_columns, make_set
from tests.streams.shards import STEP


def opened(folder, *, seed=0, output=None, **options):
    options = DataOptions(data_dir=folder / "cache", **options)
    return open_data(f"hfds/{folder}", options, seed=seed, output=output)


def numbers(source):
    return [int(np.asarray(source.read(index)[0])[0, 0, 0]) // STEP for index in range(len(source.labels))]


def test_names_and_labels_are_the_sets_own(tmp_path):
    data = opened(make_set(tmp_path, {"train": (9, 2), "validation": (4, 1)}))
    assert data.classes == CLASSES
    assert numbers(data.train) == list(range(9))
    assert list(data.train.labels) == [number % 3 for number in range(9)]
    assert (numbers(data.val), data.split_made) == ([0, 1, 2, 3], False)
    assert data.description == f"{tmp_path} validation"


@pytest.mark.parametrize("card", [True, False])
def test_test_split_is_held_out_where_there_is_no_other(tmp_path, card):
    folder = make_set(tmp_path, {"train": (9, 1), "test": (5, 1)}, card=card)
    assert held_out_split(str(folder), cache=tmp_path / "cache") == "test"
    data = opened(folder)
    assert (len(data.train.labels), len(data.val.labels)) == (9, 5)
    assert data.description.endswith(" test")


def test_part_of_each_class_is_held_out_where_there_is_no_split_for_it(tmp_path):
    folder = make_set(tmp_path, {"train": (30, 1)})
    data = opened(folder, val_share=0.2, seed=1)
    assert sorted(numbers(data.train) + numbers(data.val)) == list(range(30))
    assert sorted(data.val.labels) == [0, 0, 1, 1, 2, 2]
    assert [number % 3 for number in numbers(data.val)] == list(data.val.labels)
    assert data.split_made
    assert data.description == f"validation part of {folder} train"
    assert numbers(opened(folder, seed=1).val) == numbers(data.val) != numbers(opened(folder, seed=2).val)


def test_splits_may_be_chosen_and_sliced(tmp_path):
    folder = make_set(tmp_path, {"train": (10, 1), "extra": (6, 1), "validation": (3, 1)})
    data = opened(folder, train_split="extra", val_split="train[:50%]")
    assert (numbers(data.train), numbers(data.val)) == (list(range(6)), list(range(5)))
    with pytest.raises(ValueError, match=r"split 'none' .*--val-split.*: Unknown split"):
        opened(folder, val_split="none")


def test_split_that_is_trained_on_is_not_held_out(tmp_path):
    folder = make_set(tmp_path, {"train": (30, 1), "validation": (30, 1), "test": (5, 1)})
    assert opened(folder).description.endswith(" validation")
    data = opened(folder, train_split="train+validation[:50%]")
    assert (len(data.train.labels), data.description[-5:]) == (45, " test")
    data = opened(folder, train_split="test+validation")
    assert data.split_made


def test_labels_that_are_held_back_are_named(tmp_path):
    folder = make_set(tmp_path, {"train": (9, 1)})
    make_set(tmp_path, {"test": (4, 1)}, label=lambda number: -1)
    make_set(tmp_path / "card", {"train": (9, 1), "test": (4, 1)})
    (tmp_path / "README.md").write_text((tmp_path / "card" / "README.md").read_text())
    with pytest.raises(ValueError, match=r"split 'test': labels \[-1\] are none of its 3 classes.*--val-split"):
        opened(folder)


def test_dataset_of_a_single_class_is_refused(tmp_path):
    rows = {"image": range(4), "label": ["cat"] * 4}
    make_columns(tmp_path, {"image": Image(), "label": Value("string")}, rows)
    with pytest.raises(ValueError, match=r"split 'train' has a single class, cat: a classifier needs at least two"):
        opened(tmp_path)


def test_an_image_that_a_dataset_lacks_or_cannot_decode_is_named(tmp_path):
    class Failing:
        def __len__(self):
            return 1

        def __getitem__(self, index):
            raise RuntimeError("Failed to decode frame")

    missing = opened(make_set(tmp_path, {"train": (1, 1), "test": (1, 1)}, places=[None])).train
    with pytest.raises(UnreadableImageError, match=r"image 0 of hfds/.* \(the image is missing in the dataset\)"):
        missing.read(0)
    with pytest.raises(UnreadableImageError, match=r"image 0 of Failing \(RuntimeError: Failed to decode frame\)"):
        ImageSource("made", TorchReader(Failing()), None).read(0)


def test_output_inside_a_local_hugging_face_dataset_is_refused(tmp_path):
    folder = make_set(tmp_path / "made", {"train": (3, 1)})
    with pytest.raises(ValueError, match="inside the data folder"):
        opened(folder, output=folder / "out")
