"""Pictures of boxes show the right ones under their names."""

import numpy as np
import pytest
from PIL import Image

from gmconv_zoo.files.records import read_rows
from gmconv_zoo.visualize.curves import draw_ap_curves
from gmconv_zoo.visualize.detections import BoxedImage, compared, draw_boxes
from gmconv_zoo.visualize.images import evenly

from ..coco.coco_files import content, read, write_coco


def test_true_and_detected_boxes_of_images_with_boxes(tmp_path):
    coco = read(*write_coco(tmp_path))
    found = [
        {"image_id": 7, "category_id": 2, "bbox": [1.0, 2.0, 3.0, 4.0], "score": 0.9},
        {"image_id": 7, "category_id": 5, "bbox": [1.0, 2.0, 3.0, 4.0], "score": 0.4},
        {"image_id": 3, "category_id": 5, "bbox": [0.0, 0.0, 3.0, 4.0], "score": 0.5},
    ]
    ((truth, detected, _, second),) = compared(coco, found, count=5)  # image 9 has no boxes
    assert truth.boxes == ((0.0, 0.0, 20.0, 10.0), (2.5, 1.0, 4.0, 6.0))  # not the one around a crowd
    assert truth.names == ("dog", "cat")
    assert truth.scores is None
    assert (detected.boxes, detected.names, detected.scores) == (((1.0, 2.0, 3.0, 4.0),), ("dog",), (0.9,))
    assert second.scores == (0.5,)
    assert truth.pixels.shape == (10, 20, 3)
    assert [len(line) for line in compared(coco, found, count=1)] == [2]
    crowd = {"id": 5, "image_id": 9, "category_id": 5, "bbox": [0, 0, 1, 1], "iscrowd": 1}
    crowded = {**content(), "annotations": [*content()["annotations"], crowd]}
    assert [len(line) for line in compared(read(*write_coco(tmp_path / "crowd", crowded)), found, count=5)] == [4]
    assert (evenly(range(10), 4), evenly(range(2), 4)) == ([0, 3, 6, 9], [0, 1])
    draw_boxes(compared(coco, found, count=5), tmp_path / "out" / "boxes.png", classes=coco.classes)
    rows = read_rows(tmp_path / "out" / "boxes.csv")
    assert [(row["image"], row["boxes"], row["class"], row["score"]) for row in rows] == [
        ("1", "true", "dog", ""),
        ("1", "true", "cat", ""),
        ("2", "detected", "dog", "0.9"),
        ("3", "true", "cat", ""),
        ("4", "detected", "cat", "0.5"),
    ]


def test_every_box_has_its_own_place_and_score(figures, tmp_path):
    boxes = [(1.0, 2.0, 8.0, 4.0), (5.0, 6.0, 2.0, 3.0)]
    image = BoxedImage("a", np.zeros((10, 20, 3), np.uint8), tuple(boxes), ("cat", "dog"), (0.9, 0.4))
    rows = read_rows(draw_boxes([[image]], tmp_path / "a.png", classes=("cat", "dog")).with_suffix(".csv"))
    (axes,) = figures[0].axes
    assert [patch.get_bbox().bounds for patch in axes.patches[::2]] == boxes  # with a white one below each
    assert [text.get_text() for text in axes.texts] == ["cat 0.90", "dog 0.40"]
    assert [tuple(float(row[key]) for key in ("x", "y", "width", "height")) for row in rows] == boxes


@pytest.mark.parametrize("shape", [(1, 1, 3), (20, 400, 3), (400, 20, 3)])
def test_any_shape_and_name_is_drawn_where_the_box_is(tmp_path, shape):
    pixels = np.full(shape, 255, np.uint8)
    box = (0.0, 0.0, float(shape[1]), float(shape[0]))
    draw_boxes(
        [[BoxedImage("$x", pixels, (box,), ("$a_b$ 猫",), (0.7,))]], tmp_path / "a.png", classes=("dog", "$a_b$ 猫")
    )
    drawn = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).reshape(-1, 3)
    assert (abs(drawn.astype(int) - [0xD5, 0x5E, 0x00]).sum(1) < 30).any()  # the second class's colour


def test_curves_leave_out_epochs_without_evaluation(figures, tmp_path):
    rows = [
        {"epoch": 1, "train_loss": 2.0},
        {"epoch": 2, "train_loss": 1.0, "val_AP": 0.25, "val_AP50": 0.5, "val_APl": None},
    ]
    draw_ap_curves(rows, tmp_path / "curves.png")
    loss, precision = figures[0].axes
    lines = {line.get_label(): (*line.get_xdata(), *line.get_ydata()) for line in precision.lines}
    assert lines == {"AP (mean over IoU 0.5 to 0.95)": (2, 25.0), "AP at IoU 0.5": (2, 50.0)}
    assert precision.get_title(loc="left").endswith("best AP 25.0 %")
    assert loss.lines[0].get_ydata().tolist() == [2.0, 1.0]
