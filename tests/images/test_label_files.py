"""Labels of flat folders: the development kit's numbers, WordNet ids, and files with names."""

from pathlib import Path

import numpy as np
import pytest

from gmconv_zoo.images.label_files import read_class_names, read_labels

FILES = [Path(f"ILSVRC2012_val_{number:08}.JPEG") for number in (1, 2, 3)]
KIT = "n02119789 1 kit_fox\nn02100735 2 English_setter\nn02110185 3 Siberian_husky\n"


def named(result) -> list[str]:
    labels, names = result
    return [names[label] for label in labels]


@pytest.fixture
def kit(tmp_path):
    (tmp_path / "map_clsloc.txt").write_text(KIT)
    path = tmp_path / "ILSVRC2012_validation_ground_truth.txt"
    path.write_text("3\n1\n2\n")
    return path


def test_the_kits_numbers_are_its_own_ids_and_a_file_name_says_which_line_is_its(kit):
    assert named(read_labels(kit, FILES)) == ["n02110185", "n02119789", "n02100735"]
    assert named(read_labels(kit, [FILES[0], FILES[2]])) == ["n02110185", "n02100735"]


def test_the_kits_matlab_file_gives_the_same_ids(kit, tmp_path):
    from scipy.io import savemat

    (tmp_path / "map_clsloc.txt").unlink()
    rows = [(1, "n02119789", "", "", 0), (2, "n02100735", "", "", 0), (3, "n02110185", "", "", 0), (4, "n1", "", "", 7)]
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    savemat(tmp_path / "meta.mat", {"synsets": np.array(rows, dtype=kinds)})
    assert named(read_labels(kit, FILES)) == ["n02110185", "n02119789", "n02100735"]


def test_the_kits_numbers_without_its_ids_are_refused(kit, tmp_path):
    (tmp_path / "map_clsloc.txt").write_text("kit fox\n")
    with pytest.raises(ValueError, match="is not an id map"):
        read_labels(kit, FILES)
    (tmp_path / "map_clsloc.txt").unlink()
    with pytest.raises(ValueError, match=r"not as networks do: put the kit's meta\.mat or map_clsloc\.txt next to it"):
        read_labels(kit, FILES)
    with pytest.raises(ValueError, match=r"labels='.*none\.txt': the file does not exist"):
        read_labels(tmp_path / "none.txt", FILES)


def test_wordnet_ids_go_by_the_order_of_files(tmp_path):
    (tmp_path / "labels.txt").write_text("n00000003\nn00000001\n")
    assert named(read_labels(tmp_path / "labels.txt", [Path("a.png"), Path("b.png")])) == ["n00000003", "n00000001"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize(
    "text",
    [
        "b.png 7\na.png 0\n",
        "b.png,7\nx/a.png, 0\n",
        "b.png\t7\r\na.png\t0\r\n",
        "b.png;7;0,5\na.png;0;0,5\n",
        '"b.png","7","dog, hound"\n"a.png","0","cat"\n',
        ",filename,label\n0,b.png,7\n1,a.png,0\n",
        "train\\a.png,0\nC:\\train\\b.png,7\n",
    ],
)
def test_numbers_beside_names_are_outputs(tmp_path, text, encoding):
    (tmp_path / "labels.txt").write_bytes(text.encode(encoding))
    assert read_labels(tmp_path / "labels.txt", [Path("a.png"), Path("b.png")]) == ([0, 7], None)


@pytest.mark.parametrize("names", [["ant", "Bee", "cat"], ["class1", "class2", "class10"], ["x2", "x10", "x\u00b2"]])
def test_names_are_numbered_in_the_order_of_class_folders(tmp_path, names):
    files = [Path(f"{index}.png") for index in range(3)]
    lines = [f"{file.name}\t{name}" for file, name in zip(files, reversed(names), strict=True)]
    (tmp_path / "labels.txt").write_text("\n".join(lines))
    assert read_labels(tmp_path / "labels.txt", files) == ([2, 1, 0], names)


@pytest.mark.parametrize("text", ["b 1.png,great cat\n", "b 1.png great cat\n", '"b 1.png" "great cat"\n'])
def test_names_of_files_and_classes_may_hold_spaces(tmp_path, text):
    (tmp_path / "labels.csv").write_text(text)
    assert read_labels(tmp_path / "labels.csv", [Path("b 1.png")]) == ([0], ["great cat"])


def test_names_of_files_may_hold_backslashes_and_either_form_of_an_accent(tmp_path):
    (tmp_path / "labels.csv").write_text("a\\b.png,Ko\\k\ncafe\u0301.png,cafe\u0301\n")
    files = [Path("a\\b.png"), Path("caf\u00e9.png")]
    assert named(read_labels(tmp_path / "labels.csv", files)) == ["Ko\\k", "caf\u00e9"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.png 1\n", r"no label for 1 of 2 images, the first is b\.png"),
        ("a.png 1\nb.png 1\na.png 2\n", r"the file names a\.png occur more than once: keep one line for each"),
        ("1\n2\n3\n", "3 labels for 2 images"),
        ("0\n1\n", "numbers from 1 to 1000"),
        ("a.png 1\n2\n", "on every line"),
        ("", "one label per line"),
        ("c.png,1\nd.png,2\n", "names none of the 2 images"),
        ("a.png,\nb.png,1\n", r"'a\.png' has no label: pass a file name and a label on every line"),
        ("label,file\n0,a.png\n1,b.png\n", "has no label after the file names: pass a file name, then a label"),
        ("cat/a.png\ndog/b.png\n", "has no label after the file names"),
        ("a.png,1.0\nb.png,0.0\n", r"label is 1\.0; pass whole numbers"),
        ("image,cat,dog\na.png,1,0\nb.png,0,1\n", "a column of 0 and 1 for each of 2 classes: pass the label itself"),
        ("a.png,-1\nb.png,-1\n", "label is -1; pass whole numbers"),
        ("a.png bus 0.9\nb.png car 0.8\n", "'bus 0.9' for a.png may be one label or several columns"),
        ('a.png,"bus\nb.png,car\n', "line 2: unexpected end of data; check the quotes"),
        (b"a.png,caf\xe9\nb.png,car\n", "is not utf-8 text .* save it as UTF-8"),
        ("a.png,bus\nb.png,car\n".encode("utf-16-le"), "is not UTF-8 text .it holds zero bytes"),
    ],
)
def test_labels_that_do_not_fit_are_refused_with_the_file_named(tmp_path, text, said):
    text = text if isinstance(text, bytes) else text.encode()
    path = tmp_path / "labels.txt"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=rf"{path}.*{said}"):
        read_labels(path, [Path("a.png"), Path("b.png")])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("bus\r\n\r\n great car \r\n", ["bus", "great car"]),
        ('"bus"\n"tench, Tinca tinca"\n', ["bus", "tench, Tinca tinca"]),
        ("bus\tgreat bus\ncar\tsmall car\n", ["bus", "car"]),
        ("1,car\n0,bus\n", ["bus", "car"]),
        ('great bus 0\n"small car" 1\n', ["great bus", "small car"]),
        ("bus 1\nbus 2\n", ["bus 1", "bus 2"]),
        ("bus 0\nbus 1\n", ["bus 0", "bus 1"]),
        ("n00000003 tench\nn00000001 pike, perch\n", ["n00000003", "n00000001"]),
        ("Ko\\k\ncafe\u0301\n", ["Ko\\k", "caf\u00e9"]),
    ],
)
def test_class_names_stand_alone_or_with_further_columns(tmp_path, text, names):
    (tmp_path / "classes.txt").write_text(text, encoding="utf-16")
    assert read_class_names(tmp_path / "classes.txt") == names


def test_class_names_that_are_missing_or_repeated_are_refused(tmp_path):
    path = tmp_path / "classes.txt"
    with pytest.raises(ValueError, match=r"classes\.txt': the file does not exist. Pass a file with a class name per"):
        read_class_names(path)
    for text, said in (("cat\ndog\ncat\n", r"\['cat'\] occur more than once"), ("\n", "does not name any class")):
        path.write_text(text)
        with pytest.raises(ValueError, match=said):
            read_class_names(path)
