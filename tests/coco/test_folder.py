"""The annotations and images of a split are found in the layouts that COCO and annotation tools write."""

import shutil

import pytest

from gmconv_zoo.coco.folder import read_split

from .coco_files import content, write_coco

LAYOUTS = [
    ("annotations/instances_train2017.json", "train2017"),
    ("annotations/instances_train.json", "train"),
    ("annotations/instances_train.json", "images/train"),
    ("train.json", "train"),
    ("train.json", "images"),
    ("train.json", "."),
]


@pytest.mark.parametrize(("file", "root"), LAYOUTS)
def test_layouts(file, root, tmp_path):
    described = content()
    described["annotations"][0]["bbox"] = [1, 2, 40, 6]
    written, images = write_coco(tmp_path / "source", described)
    data = tmp_path / "data"
    (data / file).parent.mkdir(parents=True)
    (data / "train").mkdir()  # an empty folder of that name misleads nobody
    shutil.move(written, data / file)
    shutil.copytree(images, data / root, dirs_exist_ok=True)
    coco = read_split(data, "train", clip=True)
    assert coco.boxes[-1].tolist() == [1, 2, 10, 8]
    assert (coco.path, coco.root) == (data / file, data / root)


def test_what_was_looked_for_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"looked for annotations/instances_val\*\.json and val\.json\. Name"):
        read_split(tmp_path, "val")
    with pytest.raises(ValueError, match=r"none is not a folder: pass one that holds annotations/instances_val"):
        read_split(tmp_path / "none", "val")
    file, images = write_coco(tmp_path)
    shutil.move(file, tmp_path / "val.json")
    shutil.move(images, tmp_path / "pictures")
    with pytest.raises(ValueError, match=r"val\.json names 'a\.png', which does not exist in \S+/val, \S+/images/val"):
        read_split(tmp_path, "val")
    (tmp_path / "annotations").mkdir()
    shutil.copy(tmp_path / "val.json", tmp_path / "annotations" / "instances_val2014.json")
    with pytest.raises(ValueError, match=r"several .* 'val': annotations/instances_val2014\.json, val\.json\. Keep"):
        read_split(tmp_path, "val")
