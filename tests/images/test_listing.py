"""Which files of a folder are images: by their names, whatever links lead to them, and nothing left out in silence."""

import logging
import os

import pytest
from PIL import Image

from gmconv_zoo.images.listing import find_images, image_endings, list_images
from gmconv_zoo.images.pixels import UnreadableImageError, read_image


def fill(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def names(root):
    return [path.relative_to(root).as_posix() for path in list_images(root)[0]]


def test_every_format_that_pillow_writes_and_reads_is_listed_and_read(tmp_path):
    written = set()
    for ending, form in Image.registered_extensions().items():
        for mode in ("RGB", "L", "1", "P", "F"):
            path = tmp_path / f"picture{ending.upper()}"
            try:
                Image.new(mode, (8, 8)).save(path, form)
                with Image.open(path) as image:
                    image.load()
                    readable = image.mode != "F"
            except (OSError, ValueError, KeyError):
                path.unlink(missing_ok=True)
                continue
            if readable:
                assert read_image(path, "RGB").size == image.size
                written.add(path)
                break
    assert {".PNG", ".JFIF", ".WEBP", ".BMP", ".TIFF", ".MPO", ".AVIF"} <= {path.suffix for path in written}
    assert {*list_images(tmp_path)[0]} >= written
    assert not image_endings() & {".txt", ".pdf", ".h5", ".mpg"}


def test_names_with_a_leading_dot_are_skipped_but_not_that_of_the_root_and_are_no_warning(tmp_path, caplog):
    root = fill(tmp_path / ".root", "bus/a.png", "bus/._a.png", "bus/.checkpoints/b.png", ".DS_Store")
    assert names(root) == ["bus/a.png"]
    assert not caplog.text
    with caplog.at_level(logging.INFO):
        list_images(root)
    assert ".DS_Store" in caplog.text


def test_what_is_left_out_is_counted_and_named_with_the_reason(tmp_path, caplog):
    fill(tmp_path, "a.png", "b.heic", "notes", ".hidden", *(f"{i}.txt" for i in range(7)))
    os.mkfifo(tmp_path / "pipe.png")
    list_images(tmp_path)
    assert (
        f"{tmp_path}: left out 1: the name begins with a dot (.hidden); "
        "9: Pillow does not read images with this file ending (0.txt, 1.txt, 2.txt, 3.txt, 4.txt and 4 more); "
        "1: not a regular file (pipe.png)"
    ) in caplog.text


@pytest.mark.parametrize(
    ("link", "target"),
    [("car/again", "car"), ("car/up", "."), ("car/out", ".."), ("car/self", "car/self"), ("aaa", "car")],
)
def test_links_to_folders_of_the_tree_and_above_add_nothing(tmp_path, link, target):
    root = fill(tmp_path / "root", "bus/a.png", "car/b.png")
    fill(tmp_path, "elsewhere/c.png")
    os.symlink(root / target, root / link)
    assert names(root) == ["bus/a.png", "car/b.png"]


def test_linked_folders_and_files_are_listed_under_the_first_link_to_them(tmp_path, caplog):
    fill(tmp_path, "store/a/1.png", "store/a/deep/2.png", "store/3.png", "store/4")
    root = fill(tmp_path / "root", "bus/5.png")
    for name, target in {
        "bus/x": "store/a", "car/x": "store/a", "car/y": "store/a/deep", "bus/six.png": "store/3.png",
        "bus/seven.png": "store/3.png", "bus/eight.png": "store/4", "van/2.png": "store/a/deep/2.png",
    }.items():  # fmt: skip
        (root / name).parent.mkdir(exist_ok=True)
        os.symlink(tmp_path / target, root / name)
    found = ["bus/5.png", "bus/eight.png", "bus/seven.png", "bus/x/1.png", "bus/x/deep/2.png"]
    assert names(root) == found
    assert "4: a link to a file that is listed under another name (car/x, car/y, bus/six.png, van/2.png)" in caplog.text


def test_a_link_to_nothing_is_an_image_that_cannot_be_read(tmp_path):
    os.symlink(tmp_path / "gone", tmp_path / "a.png")
    ((path,), _) = list_images(tmp_path)
    with pytest.raises(UnreadableImageError, match="No such file"):
        read_image(path, "RGB")


def test_a_folder_that_cannot_be_opened_is_named(tmp_path, caplog, monkeypatch):
    fill(tmp_path, "bus/a.png", "lost/b.png")
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("lost"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert names(tmp_path) == ["bus/a.png"]
    assert "1: the folder cannot be opened, Permission denied (lost)" in caplog.text


@pytest.mark.parametrize(
    "output", ["root", "root/out", "root/bus/out/deep", "root/.out", "root/car/../out", "store/out"]
)
def test_an_output_inside_the_images_is_refused_with_a_better_place(tmp_path, output):
    root = fill(tmp_path / "root", "bus/a.png", "car/a.png")
    fill(tmp_path, "store/b.png")
    os.symlink(tmp_path / "store", root / "car" / "more")
    with pytest.raises(ValueError, match=rf"inside the data folder .*--output\), e\.g\. {tmp_path}/root_output"):
        list_images(root, output=tmp_path / output)
    list_images(root, output=tmp_path / "root_output")


@pytest.fixture
def photos(tmp_path):
    """Four images in two folders, and a text file between them."""
    return fill(tmp_path / "photos", "0.png", "1.png", "2.png", "deep/3.png", "notes.txt")


def test_patterns_files_and_folders_give_each_image_once(photos):
    found = find_images([photos / "2.png", str(photos / "*.png"), photos])
    assert [path.name for path in found] == ["2.png", "0.png", "1.png", "3.png"]


def test_each_file_is_found_once_whatever_links_lead_to_it(photos, tmp_path):
    (photos / "deep" / "again").symlink_to(photos)
    (photos / ".hidden.png").write_bytes(b"")
    (tmp_path / "link.png").symlink_to(photos / "3.png")
    (photos / "3.png").symlink_to(photos / "deep" / "3.png")
    for patterns in ([photos], [photos / "**" / "*"], [photos / "deep", photos, tmp_path / "link.png"]):
        assert sorted(path.resolve().name for path in find_images(patterns)) == ["0.png", "1.png", "2.png", "3.png"]


@pytest.mark.parametrize("pattern", ["missing.jpg", "*.gif"])
def test_pattern_without_images_is_named(photos, pattern):
    with pytest.raises(ValueError, match=r"names no image: pass files, folders or patterns"):
        find_images([photos / pattern])
