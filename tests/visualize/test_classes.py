import itertools
from types import SimpleNamespace

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from gmconv_zoo.visualize.class_names import ClassLabels
from gmconv_zoo.visualize.classes import draw_class_table, draw_confusion
from gmconv_zoo.visualize.curves import draw_accuracy, draw_curves

LONG = "a long name of a class, as number {} of sixty of them has, with its synonyms"


def draw(names, folder):
    """Both pictures of some classes, all of whose images are classified correctly."""
    matrix = [[3 * (row == column) for column in range(len(names))] for row in range(len(names))]
    draw_confusion(matrix, names, folder / "confusion.png")
    rows = [{"class": name, "recall_percent": 100.0, "correct": 3, "val_images": 3} for name in names]
    draw_class_table(rows, folder / "classes.png")


def boxes(texts):
    return [text.get_window_extent() for text in texts if text.get_text()]


@pytest.mark.parametrize(
    "names",
    [["coin_$1_to_$5", "note"], [LONG.format(n) for n in range(60)], ["кошка", "γάτα", "x" * 255]],
    ids=("dollars", "sixty", "alphabets"),
)
def test_names_are_whole_and_apart_and_inside_the_picture(names, figures, tmp_path):
    draw(names, tmp_path)
    for figure, name in zip(figures, ("confusion.png", "classes.png"), strict=True):
        axes = figure.axes[0]
        labels = [text for text in axes.get_yticklabels() if text.get_text()]
        assert [text.get_text().replace("\n", "").replace(" ", "") for text in labels] == [
            name.replace(" ", "") for name in names
        ]
        places = sorted(boxes(labels), key=lambda box: box.y0)
        assert all(below.y1 <= above.y0 for below, above in itertools.pairwise(places))
        assert min(box.height for box in places) >= 8  # pixels, of letters with 8 points
        height, width = imread(tmp_path / name).shape[:2]
        drawn = figure.get_tightbbox().padded(0.15).size * figure.dpi
        assert abs(width - drawn[0]) < 3
        assert abs(height - drawn[1]) < 3


def test_pictures_have_titles_and_axes_that_end_at_a_hundred_percent(figures, tmp_path):
    draw(["a", "b"], tmp_path)
    rows = [{"epoch": n, "train_loss": 1.0, "val_top1_percent": 100.0 - n} for n in (1, 2)]
    draw_curves(rows, tmp_path / "curves.png")
    confusion, classes, curves = figures
    assert confusion.axes[1].get_ylim() == classes.axes[0].get_xlim() == curves.axes[1].get_ylim() == (0, 100)
    assert confusion.axes[0].get_title(loc="left") == "Confusion matrix\n6 of 6 validation images are correct"
    assert confusion.axes[1].get_ylabel() == "share of the true class"
    assert classes.axes[0].get_title(loc="left") == "Recall by class"
    assert curves.axes[1].get_title(loc="left") == "validation accuracy, at the end 98.0 %"
    draw_accuracy(axes := Figure().subplots(), rows, before=10.0)
    assert axes.lines[0].get_xydata().tolist() == [[0, 10], [1, 99], [2, 98]]


def test_every_number_is_in_its_place(figures, tmp_path):
    draw_confusion([[1, 3], [0, 3]], ["a", "b"], tmp_path / "confusion.png")
    rows = [("a", 25.0, 1, 4), ("b", None, 0, 0)]
    names = ("class", "recall_percent", "correct", "val_images")
    draw_class_table([dict(zip(names, row, strict=True)) for row in rows], tmp_path / "classes.png")
    matrix, table = (figure.axes[0] for figure in figures)
    assert matrix.images[0].get_array().tolist() == [[25, 75], [0, 100]]  # percent of the true class
    assert (matrix.get_xlabel(), matrix.get_ylabel()) == ("predicted class", "true class")
    cells = {text.get_position(): text.get_text() for text in matrix.texts}  # x and y
    assert cells == {(0, 0): "1", (1, 0): "3", (0, 1): "0", (1, 1): "3"}
    assert matrix.get_title(loc="left").endswith("4 of 7 validation images are correct")
    assert [bar.get_width() for bar in table.patches] == [25, 0]
    assert [text.get_text() for text in table.texts] == ["1 of 4", "0 of 0"]
    assert table.yaxis_inverted()


def test_name_without_a_font_is_shown_by_number_and_bytes_by_escapes(monkeypatch, caplog):
    monkeypatch.setattr("gmconv_zoo.visualize.class_names.fontManager.ttflist", [])
    assert ClassLabels(["th\udce9", "a\nb", "猫", "größe"]).texts == ["th\\udce9", "a\\nb", "class 3", "größe"]
    assert "1 class names are drawn as numbers: no installed font has 猫" in caplog.text


def test_font_that_has_a_script_is_found(monkeypatch):
    fonts = [SimpleNamespace(name="Last Resort", fname="all"), SimpleNamespace(name="Kanji", fname="kanji")]
    monkeypatch.setattr("gmconv_zoo.visualize.class_names.fontManager.ttflist", fonts)
    known = {"all": frozenset("猫犬"), "kanji": frozenset("猫")}
    monkeypatch.setattr(
        "gmconv_zoo.visualize.class_names._characters_of", lambda path: known.get(path, frozenset("ab"))
    )
    labels = ClassLabels(["猫", "犬", "ab"])
    assert labels.texts == ["猫", "class 2", "ab"]
    assert labels.style["fontfamily"][-1] == "Kanji"


def test_hundreds_of_classes_fit_into_a_picture_without_names(tmp_path):
    draw_confusion([[0] * 300] * 300, [f"class {n}" for n in range(300)], tmp_path / "confusion.png")
    assert max(imread(tmp_path / "confusion.png").shape) < 4000
