import os
import shutil
from pathlib import Path

import pytest

from gmconv_zoo.data.eval_data import open_eval_data
from gmconv_zoo.data.sources import DataOptions, open_data
from gmconv_zoo.images.folder import read_folder

from .image_folders import make_folder, make_splits


def test_split_holds_out_a_share_of_every_class_that_depends_on_the_seed_alone(tmp_path):
    data, same, other = (open_data(make_folder(tmp_path, 30), seed=seed) for seed in (1, 1, 2))
    assert (data.classes, data.split_made) == (("cat", "dog", "owl"), True)
    assert [data.val.labels.count(label) for label in range(3)] == [2, 2, 2]
    assert (len(data.train), len(data.val)) == (24, 6)
    assert not set(data.train.names) & set(data.val.names)
    assert [name.split("/")[0] for name in data.val.names] == [data.classes[label] for label in data.val.labels]
    assert data.val.names == same.val.names != other.val.names
    assert data.train.part([23]).names == data.train.names[23:]
    shares = [open_data(tmp_path, DataOptions(val_share=share)).val.labels.count(0) for share in (0.01, 0.28, 0.99)]
    assert shares == [1, 3, 9]  # of ten
    shutil.rmtree(tmp_path / "cat")
    assert open_data(tmp_path, seed=1).val.names == [name for name in data.val.names if not name.startswith("cat")]


def test_train_and_val_folders_are_used_as_they_are_also_without_images_of_a_class(tmp_path):
    make_splits(tmp_path, 12)
    data = open_data(tmp_path)
    assert (len(data.train), len(data.val), data.split_made) == (12, 6, False)
    shutil.rmtree(tmp_path / "val" / "cat")
    assert set(open_data(tmp_path).val.labels) == {1, 2}


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("", "no class folders: put the images"),
        ("cat", "a single class, cat: a classifier needs at least two classes.$"),
        ("data/dog data/cat", r"a single class, data: .* If its folders cat, dog are the classes, pass \S+/data\.$"),
        ("cat dog ape/", "the class folders ape hold no images. Fill or remove"),
        ("cat dog ape/0.png", "the classes ape have a single image"),
        ("train/cat train/dog val/cat val/ape val/emu", "val has classes that .*train does not have: ape, emu"),
        ("val/cat val/dog", "has val but no folder train"),
        ("cat dog loose.webp", r"loose\.webp are stored outside of class folders"),
        ("train/cat train/dog train/0.png", r"train: 0\.png are stored outside of class folders"),
        (
            "train/cat train/dog val/cat val/dog valid/cat valid/dog",
            "has val and valid, which mean the same split: keep one",
        ),
        ("train/cat train/dog val/", "val has no class folders"),
        ("cat/train cat/val dog/Train dog/test ape", "the folders cat, dog hold splits, which would be mixed"),
    ],
)
def test_folder_that_cannot_be_used_is_refused_by_name(tmp_path, layout, message):
    for name in layout.split():
        if "." in name:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        elif name.endswith("/"):
            (tmp_path / name).mkdir()
        else:
            touch(tmp_path, name)
    with pytest.raises(ValueError, match=message):
        open_data(tmp_path)


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a folder"):
        read_folder(tmp_path / "absent")


def touch(root, *names):
    for name in names:
        for file in ("0.png", "1.jpg"):
            (root / name).mkdir(parents=True, exist_ok=True)
            (root / name / file).touch()
    return root


TRAIN, VAL = ("train", "training"), ("val", "valid", "validation", "dev", "eval", "evaluation")
SPLITS = (*TRAIN, *VAL, "test", "testing")


@pytest.mark.parametrize("name", [*SPLITS, "Train", "VAL", "Test"])
@pytest.mark.parametrize("deep", ["", "/2020"])
def test_a_class_with_the_name_of_a_split_is_a_class(tmp_path, name, deep):
    touch(tmp_path, *(f"{kind}{deep}" for kind in ("bus", "car", name)))
    classes = read_folder(tmp_path)[0]
    assert set(classes) == {"bus", "car", name}
    for split in ("validation", "train", "test"):
        assert open_eval_data(tmp_path, split=split).class_names == list(classes)


def test_splits_that_are_read_as_classes_are_named(tmp_path, caplog):
    touch(tmp_path, "train/cat", "train/dog", "val/cat", "val/dog", "other")
    assert set(read_folder(tmp_path)[0]) == {"other", "train", "val"}
    assert "train, val are read as classes, not as splits, because they stand next to other" in caplog.text


@pytest.mark.parametrize("train", ["train", "training", "Train"])
@pytest.mark.parametrize("val", [*VAL, "test", "testing", "Val", "TEST"])
def test_splits_by_any_name_are_found_by_training_and_validation_alike(tmp_path, train, val):
    touch(tmp_path, f"{train}/bus", f"{train}/car/2020", f"{val}/bus", f"{val}/car")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "list.txt").touch()
    (tmp_path / "cover.png").touch()
    classes, *found = read_folder(tmp_path)
    assert classes == ("bus", "car")
    for files, split in zip(found, ("train", "val"), strict=True):
        source = open_eval_data(tmp_path, split=split)
        assert (tuple(source.reader.paths), tuple(source.labels)) == (files.paths, files.labels)
    assert {path.parts[-3] for path in found[1].paths} == {val}


def test_the_validation_split_is_preferred_to_the_test_split_and_any_split_is_found_by_its_own_name(tmp_path):
    touch(tmp_path, *(f"{split}/{kind}" for split in ("train", "val", "test") for kind in ("bus", "car")))
    assert {path.parts[-3] for path in read_folder(tmp_path)[2].paths} == {"val"}
    found = [Path(open_eval_data(tmp_path, split=split).name).name for split in ("validation", "test", "testing")]
    assert found == ["val", "test", "test"]
    for split in ("val", "test"):
        shutil.rmtree(tmp_path / split)
    with pytest.raises(ValueError, match=r"has no split 'validation', only train: pass one of these .*--split"):
        open_eval_data(tmp_path)
    touch(tmp_path, "holdout/bus", "holdout/car")
    assert open_eval_data(tmp_path, split="holdout").name == str(tmp_path / "holdout")


def test_a_file_linked_into_train_and_val_is_in_one_of_them(tmp_path):
    touch(tmp_path / "store", "bus", "car")
    for split in ("train", "val"):
        (tmp_path / "root" / split).mkdir(parents=True)
        touch(tmp_path / "root" / split, "bus", "car")
        (tmp_path / "root" / split / "bus" / "more").symlink_to(tmp_path / "store" / "bus")
    _, train, val = read_folder(tmp_path / "root")
    assert not {path.resolve() for path in train.paths} & {path.resolve() for path in val.paths}
    assert (len(train), len(val)) == (6, 4)


def test_classes_are_in_natural_order_for_training_and_validation(tmp_path):
    touch(tmp_path, *map(str, range(11)), "Zebra", "ape")
    expected = [*map(str, range(11)), "ape", "Zebra"]
    assert list(read_folder(tmp_path)[0]) == open_eval_data(tmp_path).class_names == expected


def test_a_class_in_two_unicode_forms_is_one_class(tmp_path):
    touch(tmp_path, "train/cafe\u0301", "train/tea", "val/caf\u00e9", "val/tea")
    classes, _, val = read_folder(tmp_path)
    assert (classes, val.labels) == (("caf\u00e9", "tea"), (0, 0, 1, 1))


def test_a_folder_is_listed_once(tmp_path, monkeypatch):
    touch(tmp_path, *(f"{split}/{kind}" for split in ("train", "val") for kind in ("bus", "car")))
    opened, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: opened.append(str(path)) or scandir(path))
    for call in (open_data, open_eval_data):
        opened.clear()
        call(tmp_path)
        assert sorted(opened).count(str(tmp_path / "train" / "bus")) == 1
        assert len(opened) == len(set(opened)) == 7
