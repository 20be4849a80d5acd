"""Columns of Hugging Face datasets: which hold images and labels, and what the labels are."""

import pytest
from datasets import ClassLabel, Image, List, Value

from gmconv_zoo.data.sources import DataOptions, open_data
from gmconv_zoo.images.hub_datasets import find_columns
from tests.data.test_sources import numbers, opened
from tests.images.hugging_face import make_columns

KINDS = ClassLabel(names=["bus", "car"])


@pytest.mark.parametrize(
    ("features", "found"),
    [
        ({"id": Value("int64"), "img": Image(), "fine_label": KINDS}, ("img", "fine_label")),
        ({"text": Value("string"), "image": Image(), "label": Value("string")}, ("image", "label")),
        ({"picture": Value("binary"), "kind": Value("large_string")}, ("picture", "kind")),
        ({"photo": {"bytes": Value("binary"), "path": Value("string")}, "number": Value("int8")}, ("photo", "number")),
        ({"image": Image(), "mask": Image(), "label": KINDS, "coarse_label": KINDS}, ("image", "label")),
    ],
)
def test_columns_are_found_by_their_features(features, found):
    assert find_columns("made", features) == found


@pytest.mark.parametrize(
    ("features", "given", "said"),
    [
        ({"img": Image(), "fine": KINDS, "coarse": KINDS}, {}, r"fine, coarse may each hold.*--label-column"),
        ({"left": Image(), "right": Image(), "label": KINDS}, {}, r"left, right may each hold.*--image-column"),
        ({"text": Value("string"), "label": KINDS}, {}, r"no column holds images.*label \(ClassLabel\)"),
        ({"image": Image(), "labels": List(KINDS)}, {}, r"no column holds labels.*labels \(List\)"),
        ({"image": Image(), "label": KINDS}, {"label": "kind"}, r"column 'kind' does not exist.*label \(ClassLabel\)"),
        ({"image": Image(), "score": Value("float32")}, {"label": "score"}, "column 'score' does not hold labels"),
        ({"image": Image(), "label": KINDS}, {"image": "label"}, "column 'label' does not hold images"),
    ],
)
def test_columns_that_are_not_found_or_do_not_fit_are_answered_with_those_there_are(features, given, said):
    with pytest.raises(ValueError, match=said):
        find_columns("made", features, **given)


@pytest.mark.parametrize(("column", "classes"), [("fine", ("bus", "car")), ("coarse", ("vehicle", "animal"))])
def test_columns_may_be_chosen(tmp_path, column, classes):
    features = {"img": Image(), "fine": KINDS, "coarse": ClassLabel(names=["vehicle", "animal"])}
    folder = make_columns(tmp_path, features, {"img": range(4), "fine": [1, 0, 1, 0], "coarse": [0, 0, 1, 1]})
    assert opened(folder, label_column=column, image_column="img").classes == classes


def test_text_labels_become_sorted_classes(tmp_path):
    texts = ["car", "bus", "caf\u00e9", "cafe\u0301", "bus", "car"]
    folder = make_columns(tmp_path, {"image": Image(), "label": Value("string")}, {"image": range(6), "label": texts})
    data = opened(folder, train_split="train[:4]+train[4:]", val_split="train[4:]")
    assert data.classes == ("bus", "caf\u00e9", "car")
    assert (numbers(data.train), list(data.train.labels)) == (list(range(6)), [2, 0, 1, 1, 0, 2])
    assert list(data.val.labels) == [0, 2]
    with pytest.raises(ValueError, match=r"has the labels \[.car.\], which are not classes of the training split"):
        opened(folder, train_split="train[1:5]", val_split="train[5:]")


@pytest.mark.parametrize(
    ("kind", "labels", "said"),
    [
        (KINDS, [0, 1, None], "1 of 3 images have no label in the column 'label'; the first one is image 2"),
        (Value("string"), ["bus", "car", ""], "1 of 3 images have no label in the column 'label'"),
        (Value("int64"), [1, 3, 1], r"numbers up to 3, but no image has the labels \[0, 2\]\. Number .* without gaps"),
    ],
)
def test_missing_labels_and_gaps_are_told(tmp_path, kind, labels, said):
    folder = make_columns(tmp_path, {"image": Image(), "label": kind}, {"image": range(3), "label": labels})
    with pytest.raises(ValueError, match=said):
        opened(folder)


def test_columns_and_splits_go_with_sets_that_have_them(tmp_path):
    with pytest.raises(ValueError, match=r"has no columns: leave out .* \(--image-column, --label-column\)"):
        open_data(tmp_path, DataOptions(label_column="kind"))
    with pytest.raises(
        ValueError, match=r"has no splits to choose from \(--train-split, --val-split\): leave them out"
    ):
        open_data(tmp_path, DataOptions(val_split="test"))
    with pytest.raises(ValueError, match=r"is not a stream: leave out --train-count"):
        open_data(tmp_path, DataOptions(classes=3))


def test_stream_finds_its_columns_and_takes_text_labels_with_their_classes(tmp_path):
    (tmp_path / "names.txt").write_text("car\nbus\n")
    rows = {"image": range(3), "kind": ["bus", "car", "bus"]}
    folder = make_columns(tmp_path / "made", {"image": Image(), "kind": Value("string")}, rows)
    counts = {"val_split": "train", "train_count": 3, "val_count": 3}

    def found(classes):
        options = DataOptions(classes=classes, data_dir=tmp_path / "cache", **counts)
        data = open_data(f"hfids/{folder}", options)
        return data.classes, [sample.label for sample in data.train.reader.files[0]()]

    assert found(str(tmp_path / "names.txt")) == (("car", "bus"), [1, 0, 1])
    with pytest.raises(ValueError, match=r"labels in the column 'kind' are text.*--classes"):
        found(None)
    (tmp_path / "names.txt").write_text("car\ntram\n")
    with pytest.raises(ValueError, match="the class 'bus' is not one of the 2 classes of --classes"):
        found(str(tmp_path / "names.txt"))
