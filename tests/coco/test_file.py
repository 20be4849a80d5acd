"""COCO annotation files: what is read, and which mistakes are named."""

import json
import logging

import pytest
import torch

from gmconv_zoo.coco.file import read_coco, read_results

from .coco_files import content, read, write_coco


def test_labels_follow_the_order_of_the_file_and_ids_are_kept(tmp_path):
    coco = read(*write_coco(tmp_path))
    assert coco.classes == ("cat", "dog")
    assert coco.labels == {5: 1, 2: 2}
    assert [image.id for image in coco.images] == [7, 3, 9]
    assert coco.image_ids.tolist() == [7, 7, 7, 3]
    assert coco.category_ids.tolist() == [2, 5, 5, 5]
    assert coco.boxes.tolist() == [[0, 0, 20, 10], [2.5, 1, 6.5, 7], [10, 5, 20, 10], [1, 2, 5, 8]]
    assert coco.areas.tolist() == [200, 24, 50, 12.5]
    assert coco.trained.tolist() == [True, True, False, True]


def test_an_annotation_that_stands_twice_under_other_ids_is_counted(tmp_path, caplog):
    described = content()
    described["annotations"].append({**described["annotations"][0], "id": 99})
    read(*write_coco(tmp_path, described))
    assert "1 annotations repeat the image, category and box of another one" in caplog.text


def test_labels_follow_the_classes_of_a_detector_and_boxes_may_reach_beyond_the_image_by_rounding(tmp_path):
    described = content()
    described["annotations"][1]["bbox"] = [-0.5, 0, 21, 10.3]
    coco = read(*write_coco(tmp_path, described), classes=("bird", "dog", "N/A", "N/A", "cat"))
    assert coco.labels == {5: 5, 2: 2}
    assert coco.boxes[0].tolist() == [0, 0, 20, 10]
    assert coco.bboxes[0].tolist() == [-0.5, 0, 21, 10.3]


def test_clipped_boxes_are_counted_and_those_without_area_are_kept_for_evaluation_only(tmp_path, caplog):
    described = content()
    described["annotations"][1]["bbox"] = [15, 5, 30, 40]
    described["annotations"][2]["bbox"] = [3, 3, 0, 2]
    with caplog.at_level(logging.WARNING, "gmconv_zoo"):
        coco = read(*write_coco(tmp_path, described), clip=True)
    assert coco.boxes[0].tolist() == [15, 5, 20, 10]
    assert coco.trained.tolist() == [True, False, False, True]
    assert len(coco.bboxes) == 4
    assert "2 of 4 boxes" in caplog.text
    assert "1 without area" in caplog.text


def at(*path, value):
    """A change of one value; None removes it."""

    def change(described):
        for key in path[:-1]:
            described = described[key]
        if value is None:
            del described[path[-1]]
        else:
            described[path[-1]] = value

    return change


NAN = float("nan")
IMAGE, BOX, CATEGORY = ("images", 1), ("annotations", 1), ("categories", 1)
BAD = {
    "no list of images": (at("images", value=None), "not a COCO annotation file.*'images'"),
    "no images": (lambda d: [d["images"].clear(), d["annotations"].clear()], "lists no images"),
    "no categories": (lambda d: [d["categories"].clear(), d["annotations"].clear()], "at least one"),
    "an image that is no object": (at(*IMAGE, value=[1]), r"entry 1 is \[1\], not an object"),
    "an image id that is a text": (at(*IMAGE, "id", value="3"), "entry 1 is .*whole number"),
    "an image id that is true": (at(*IMAGE, "id", value=True), "entry 1 is .*whole number"),
    "image ids that repeat": (at(*IMAGE, "id", value=9), "images, 1 in all: the id 9 occurs 2 times"),
    "category ids that repeat": (at(*CATEGORY, "id", value=5), "the id 5 occurs 2 times"),
    "category names that repeat": (at(*CATEGORY, "name", value="cat"), "must differ"),
    "category names that differ by a space": (at(*CATEGORY, "name", value="cat "), "must differ, not by spaces"),
    "boxes as shares of the image": (
        lambda d: [entry.update(bbox=[0.1, 0.2, 0.3, 0.4]) for entry in d["annotations"]],
        "give x, y, width and height in pixels",
    ),
    "a category without a name": (at(*CATEGORY, "name", value=None), "id 2: the name is None"),
    "an unknown category": (at(*BOX, "category_id", value=4), r"id 1: category_id 4 is not a category \(5, 2\)"),
    "an unknown image": (at(*BOX, "image_id", value=4), "id 1: image_id 4 is not the id of an image"),
    "a box without numbers": (at(*BOX, "bbox", value=None), "id 1: bbox is None, not four finite"),
    "three numbers": (at(*BOX, "bbox", value=[1, 2, 3]), "not four finite"),
    "a text in a box": (at(*BOX, "bbox", value=[1, 2, 3, "4"]), "not four finite"),
    "NaN": (at(*BOX, "bbox", value=[1, 2, NAN, 4]), "not four finite"),
    "a huge number": (at(*BOX, "bbox", value=[1, 2, 10**400, 4]), "not four finite"),
    "an area below zero": (at(*BOX, "area", value=-1), "area is -1"),
    "a crowd of two": (at(*BOX, "iscrowd", value=2), "iscrowd is 2, not 0 or 1"),
    "a box without width": (at(*BOX, "bbox", value=[1, 2, 0, 4]), r"1 of 4 boxes.* 1, \[1, 2, 0, 4\] in 20x10"),
    "a negative height": (at(*BOX, "bbox", value=[1, 2, 3, -1]), "no area.*clip=True"),
    "a box too large": (at(*BOX, "bbox", value=[0, 0, 20, 12]), "leave their image"),
    "no file name": (at(*IMAGE, "file_name", value=None), "id 3: file_name is None"),
    "a name out of the folder": (at(*IMAGE, "file_name", value="sub/../../b.png"), "leads out of the folder"),
    "a name out of the folder on Windows": (at(*IMAGE, "file_name", value="..\\b.png"), "leads out of the folder"),
    "an absolute name": (at(*IMAGE, "file_name", value="/etc/b.png"), "leads out of the folder"),
    "no width": (at(*IMAGE, "width", value=None), "id 3: height and width are 20 and None"),
    "a width of zero": (at(*IMAGE, "width", value=0), "not at least 1 pixel"),
    "an image that does not exist": (at(*IMAGE, "file_name", value="d.png"), "1 of the 3 images.*'d.png'"),
    "an image that is listed twice": (at(*IMAGE, "file_name", value="./a.png"), "1 images more than once: 'a.png'"),
    "a name with a null byte": (at(*IMAGE, "file_name", value="d\0.png"), "do not exist"),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_in_the_file_are_named(case, tmp_path):
    change, message = BAD[case]
    described = content()
    change(described)
    file, root = write_coco(tmp_path, described)
    with pytest.raises(ValueError, match=message) as caught:
        read(file, root)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[", "\0", "[" * 100_000, '{"images": 1}', "[]", "3", "\udcff"])
def test_files_that_are_not_coco_or_do_not_exist_are_refused(text, tmp_path):
    file = tmp_path / "boxes.json"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=r"boxes\.json is not a (JSON|COCO annotation) file"):
        read_coco(file)
    with pytest.raises(ValueError, match=r"none\.json cannot be read"):
        read_coco(tmp_path / "none.json")


def test_many_mistakes_are_counted_and_five_are_named_as_are_categories_that_a_detector_does_not_know(tmp_path):
    described = content()
    described["annotations"] = [{**described["annotations"][0], "id": n, "category_id": 0} for n in range(8)]
    file, root = write_coco(tmp_path, described)
    with pytest.raises(ValueError, match=r"8 in all: id 0: .*id 4: .* and 3 more") as caught:
        read(file, root)
    assert "id 5" not in str(caught.value)
    with pytest.raises(ValueError, match=r"has the categories dog, but the 2 classes are cat, bird"):
        read(file, root, classes=("cat", "bird"))


GOOD = {"image_id": 7, "category_id": 5, "bbox": [1, 2, 3, 4], "score": 0.5}


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"a": 1}, "not a COCO result file"),
        ([GOOD, 3], "entry 1 is 3, not an object"),
        ([{**GOOD, "image_id": 8}], "entry 0: image_id 8"),
        ([{**GOOD, "category_id": 8}], "entry 0: category_id 8"),
        ([{**GOOD, "bbox": [1, 2, 3]}], "entry 0: bbox"),
        ([{**GOOD, "score": NAN}], "entry 0: score is nan"),
        ([{k: v for k, v in GOOD.items() if k != "score"}], "score is None"),
        ([{**GOOD, "image_id": 3, "file_name": "x/a.png"}], "entry 0: file_name is 'x/a.png', but .* id 3 is b.png"),
        ([{**GOOD, "category": "dog"}], "entry 0: category is 'dog', but the id 5 is cat"),
    ],
)
def test_mistakes_in_predictions_are_named(found, message, tmp_path):
    coco = read_coco(write_coco(tmp_path)[0])
    (tmp_path / "found.json").write_text(json.dumps(found))
    with pytest.raises(ValueError, match=message):
        read_results(tmp_path / "found.json", coco)


def test_names_of_predictions_that_agree_with_the_ids_are_accepted_also_without_annotations(tmp_path):
    coco = read(*write_coco(tmp_path, {**content(), "annotations": []}))
    assert (coco.boxes.shape, coco.boxes.dtype) == ((0, 4), torch.float32)
    found = [{**GOOD, "image_id": 3, "file_name": "elsewhere/b.png", "category": "cat"}]
    (tmp_path / "found.json").write_text(json.dumps(found))
    assert read_results(tmp_path / "found.json", coco) == found


def test_folders_tell_images_of_the_same_name_apart_in_predictions(tmp_path):
    described = content()
    described["images"] += [{"id": 4, "file_name": "c/b.png", "height": 20, "width": 10}]
    coco = read_coco(write_coco(tmp_path, described)[0])
    for name in ("b.png", "sub/b.png", "/data/sub/b.png"):
        (tmp_path / "found.json").write_text(json.dumps([{**GOOD, "image_id": 3, "file_name": name}]))
        assert len(read_results(tmp_path / "found.json", coco)) == 1
    (tmp_path / "found.json").write_text(json.dumps([{**GOOD, "image_id": 3, "file_name": "data/c/b.png"}]))
    with pytest.raises(ValueError, match=r"file_name is 'data/c/b.png', but the image with the id 3 is sub/b\.png"):
        read_results(tmp_path / "found.json", coco)
