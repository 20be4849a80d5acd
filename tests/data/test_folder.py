import shutil

import pytest

from gmconv_zoo.data.folder import read_folder

from .image_folders import make_folder


def test_split_holds_out_a_share_of_every_class(tmp_path):
    folder = read_folder(make_folder(tmp_path, 30), seed=1)
    assert folder.classes == ("cat", "dog", "owl")
    assert folder.split_made
    assert [folder.val.labels.count(label) for label in range(3)] == [2, 2, 2]
    assert len(folder.train.paths) == 24
    assert not set(folder.train.paths) & set(folder.val.paths)
    assert all(
        path.parent.name == folder.classes[label] for path, label in zip(*vars(folder.val).values(), strict=True)
    )


def test_split_depends_on_the_seed_alone(tmp_path):
    make_folder(tmp_path, 60)
    splits = [read_folder(tmp_path, seed=seed).val.paths for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]


def test_train_and_val_folders_are_used_as_they_are(tmp_path):
    make_folder(tmp_path / "train", 12)
    make_folder(tmp_path / "val", 6)
    folder = read_folder(tmp_path)
    assert not folder.split_made
    assert (len(folder.train.paths), len(folder.val.paths)) == (12, 6)


def test_class_without_held_out_images_is_warned_about(tmp_path, caplog):
    make_folder(tmp_path / "train", 12)
    make_folder(tmp_path / "val", 6)
    shutil.rmtree(tmp_path / "val" / "owl")
    assert set(read_folder(tmp_path).val.labels) == {0, 1}
    assert "no images of owl" in caplog.text


def one_class(root):
    make_folder(root, 4, classes=("cat",))


def empty_class(root):
    make_folder(root)
    (root / "ape").mkdir()


def one_image(root):
    make_folder(root, 6)
    make_folder(root, 1, classes=("ape",))


def unknown_in_val(root):
    make_folder(root / "train", 9)
    make_folder(root / "val", 3, classes=("cat", "ape", "emu"))


def no_train(root):
    make_folder(root / "val")


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda root: None, "no class folders: put the images"),
        (one_class, "a single class, cat"),
        (empty_class, r"no images \(\.png, \.jpg, \.jpeg\) in the class folders ape. Fill or remove"),
        (one_image, "a single image in ape"),
        (unknown_in_val, "val has classes that .*train has not: ape, emu"),
        (no_train, "has val but no train"),
    ],
)
def test_folder_that_cannot_be_used_is_refused_by_name(tmp_path, prepare, message):
    prepare(tmp_path)
    with pytest.raises(ValueError, match=message):
        read_folder(tmp_path)


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is no folder"):
        read_folder(tmp_path / "absent")
