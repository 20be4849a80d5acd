"""Images in a tar file."""

import io
import tarfile

import pytest
from PIL import Image

from gmconv_zoo.data.eval_data import open_eval_data
from tests.streams.shards import write_tar


def write(path, names):
    """Write images, the first with a height of 1 pixel, the second of 2, and so on."""
    files = []
    for height, name in enumerate(names, 1):
        picture = io.BytesIO()
        Image.new("RGB", (8, height)).save(picture, "BMP")
        files.append((name, picture.getvalue()))
    return write_tar(path, files)


def test_the_folder_above_an_image_is_its_class_whatever_its_ending(tmp_path):
    source = open_eval_data(write(tmp_path / "set.tar", ["a/10/1.bmp", "a/2/1.BMP", "a/2/._1.bmp", "a/2/read.me"]))
    assert (source.class_names, list(source.labels)) == (["2", "10"], [0, 1])
    assert [source.read(index)[0].height for index in range(2)] == [2, 1]
    assert source.image_name(0) == f"{tmp_path / 'set.tar'}/a/2/1.BMP"


def test_classes_have_the_order_of_class_folders(tmp_path):
    names = ["ant", "Bee", "m2", "m10", "m\u00b2"]
    source = open_eval_data(write(tmp_path / "set.tar", [f"{name}/1.bmp" for name in reversed(names)]))
    assert source.class_names == names


def test_cut_and_empty_tar_files_are_refused(tmp_path):
    path = write(tmp_path / "set.tar", ["bus/1.bmp", "car/1.bmp"])
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        (_, second) = tar.getmembers()
    for cut in (0, 100, 600, second.offset, second.offset_data + 10, second.offset_data + 512):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"set\.tar is not a complete tar file \(.+\)\. Pass a folder, or a whole"):
            open_eval_data(path)
    for names, said in (
        ([], "holds no images"),
        (["1.bmp", "bus/1.bmp"], "1.bmp are stored outside of class folders"),
        (["set/Train/bus/1.bmp", "set/val/bus/1.bmp"], "holds splits, which would be mixed"),
    ):
        with pytest.raises(ValueError, match=said):
            open_eval_data(write(path, names))
