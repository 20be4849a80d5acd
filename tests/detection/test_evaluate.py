"""Average precision: cases known by hand, and pycocotools used directly."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from gmconv_zoo.coco.file import read_coco, read_results
from gmconv_zoo.detection.evaluate import CocoEvaluator, average_precision
from gmconv_zoo.files.records import write_json

CLASSES = ("cat", "dog")
ONE, HALF = pytest.approx(1), pytest.approx(0.5)


def coco_of(folder, boxes, *, images=2, **changes):
    """A file of images with the ids 4, 5, ... and boxes (image, label, x, y, width, height)."""
    entries = [
        {"id": n, "image_id": 4 + image, "category_id": 10 * label, "bbox": box, "area": box[2] * box[3], **changes}
        for n, (image, label, *box) in enumerate(boxes)
    ]
    described = {
        "images": [{"id": 4 + n, "file_name": f"{n}.png", "height": 400, "width": 400} for n in range(images)],
        "annotations": entries,
        "categories": [{"id": 10 * label, "name": name} for label, name in enumerate(CLASSES, 1)],
    }
    (folder / "boxes.json").write_text(json.dumps(described))
    return read_coco(folder / "boxes.json")


def evaluated(coco, found):
    """An evaluator of detections (image, label, x, y, width, height, score)."""
    evaluator, outputs = CocoEvaluator(coco), []
    for image in range(len(coco.images)):
        rows = torch.tensor([entry for entry in found if entry[0] == image], dtype=torch.float64).reshape(-1, 7)
        boxes = torch.cat([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], dim=1)
        outputs.append({"boxes": boxes, "labels": rows[:, 1].long(), "scores": rows[:, 6]})
    evaluator.update(evaluator.rows(outputs, [{"image_id": image.id} for image in coco.images]))
    return evaluator


SMALL, LARGE = (0, 1, 10, 10, 20, 20), (1, 2, 50, 50, 100, 100)


def test_perfect_boxes_have_ap_1(tmp_path, capfd):
    coco = coco_of(tmp_path, [SMALL, LARGE])
    result = evaluated(coco, [(*SMALL, 0.9), (*LARGE, 0.8)]).result()
    assert result.pop("per_class") == {"cat": ONE, "dog": ONE}
    assert result == {"AP": ONE, "AP50": ONE, "AP75": ONE, "APs": ONE, "APm": None, "APl": ONE, "images": 2}
    assert capfd.readouterr() == ("", "")


def test_a_box_with_iou_06_counts_at_050_and_not_at_075(tmp_path):
    result = evaluated(coco_of(tmp_path, [(0, 1, 0, 0, 100, 100)]), [(0, 1, 0, 0, 60, 100, 0.9)]).result()
    assert (result["AP50"], result["AP75"]) == (ONE, 0)
    assert result["AP"] == pytest.approx(0.3)  # thresholds 0.5, 0.55 and 0.6
    assert result["per_class"] == {"cat": pytest.approx(0.3), "dog": None}


@pytest.mark.parametrize(
    ("boxes", "found", "of_classes", "of_all"),
    [
        pytest.param([SMALL, LARGE], [(*LARGE, 0.8)], {"cat": 0, "dog": ONE}, HALF, id="one class of two"),
        pytest.param([SMALL], [(*SMALL, 0.5), (0, 1, 200, 200, 50, 50, 0.9)], {"cat": HALF}, HALF, id="a false one"),
        pytest.param([SMALL], [(*SMALL, 0.5), (1, 1, 0, 0, 9, 9, 0.9)], {"cat": HALF}, HALF, id="one without any box"),
        pytest.param([SMALL], [], {"cat": 0}, 0, id="no detections"),
        pytest.param([], [(*SMALL, 0.9)], {}, None, id="no objects"),
    ],
)
def test_precision_is_what_is_counted_by_hand(tmp_path, boxes, found, of_classes, of_all):
    result = evaluated(coco_of(tmp_path, boxes), found).result()
    assert result["per_class"] == {"cat": None, "dog": None, **of_classes}
    assert result["AP"] == of_all


def test_detections_in_a_crowd_are_neither_right_nor_wrong(tmp_path):
    boxes = [(0, 1, 200, 200, 100, 100), (0, 1, 0, 0, 100, 100)]
    coco = coco_of(tmp_path, boxes[:1])
    described = json.loads(coco.path.read_text())
    crowd = {**described["annotations"][0], "id": 8, "bbox": [0, 0, 100, 100], "iscrowd": 1}
    inside = [(0, 1, 10 * n, 0, 20, 20, 0.9) for n in range(5)]
    assert evaluated(coco, [(*boxes[0], 0.5), *inside]).result()["AP"] == pytest.approx(1 / 6)
    described["annotations"].append(crowd)
    coco.path.write_text(json.dumps(described))
    assert evaluated(read_coco(coco.path), [(*boxes[0], 0.5), *inside]).result()["AP"] == ONE


def random_case(folder, count=12):
    random = np.random.default_rng(0)
    sides = random.uniform(5, 150, (count, 5, 2))
    boxes = [
        (image, int(random.integers(1, 3)), *random.uniform(0, 240, 2).tolist(), *side.tolist())
        for image in range(count - 1)
        for side in sides[image]
    ]
    found = [
        (*box[:2], *(np.array(box[2:]) + random.normal(0, 4, 4)).tolist(), round(float(random.uniform()), 1))
        for box in boxes
        for _ in range(random.integers(3))
    ]
    return coco_of(folder, boxes, images=count), found


def test_results_agree_with_pycocotools_used_directly_and_offline(tmp_path):
    coco, found = random_case(tmp_path)
    evaluator = evaluated(coco, found)
    result = evaluator.result()
    write_json(tmp_path / "found.json", evaluator.detections())
    assert average_precision(coco, read_results(tmp_path / "found.json", coco)) == result
    described = json.loads(coco.path.read_text())
    for entry in described["annotations"]:
        entry |= {"id": entry["id"] + 1, "iscrowd": 0}  # pycocotools never counts the id 0 as found
    (tmp_path / "numbered.json").write_text(json.dumps(described))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(tmp_path / "numbered.json"))
        run = COCOeval(truth, truth.loadRes(str(tmp_path / "found.json")), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    assert [result[key] for key in ("AP", "AP50", "AP75", "APs", "APm", "APl")] == run.stats[:6].tolist()
    assert 0.1 < result["AP"] < 0.9
    per_class = run.eval["precision"][..., 0, -1].mean((0, 1))
    assert list(result["per_class"].values()) == pytest.approx(per_class.tolist(), rel=1e-9)


@pytest.mark.parametrize("processes", [2, 3])
def test_rows_of_several_processes_with_images_that_occur_twice_give_the_same_result(processes, tmp_path):
    coco, found = random_case(tmp_path, count=11)
    whole = evaluated(coco, found)
    detections = whole.detections()
    rows = [
        {"image_id": image.id, "detections": [entry for entry in detections if entry["image_id"] == image.id]}
        for image in coco.images
    ]
    rows += rows[: -len(rows) % processes]  # accelerate repeats the first images
    evaluator = CocoEvaluator(coco)
    for rank in reversed(range(processes)):
        evaluator.update(json.loads(json.dumps(rows[rank::processes])))
    evaluator.update([{**rows[0], "detections": []}])
    assert evaluator.result() == whole.result()


def test_images_that_are_missing_are_an_error(tmp_path):
    coco = coco_of(tmp_path, [SMALL])
    evaluator = CocoEvaluator(coco)
    evaluator.update([{"image_id": 5, "detections": []}])
    with pytest.raises(ValueError, match=r"1 of the 2 images .* not evaluated \(image ids 4\)"):
        evaluator.result()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": [3]}, r"the labels 3, but there are 2 classes"),
        ({"labels": [0]}, r"the labels 0, but"),
        ({"scores": [float("nan")]}, "of image 4 are not finite"),
        ({"boxes": [[0, 0, float("inf"), 1]]}, "of image 4 are not finite"),
    ],
)
def test_outputs_that_cannot_be_evaluated_are_refused(changed, message, tmp_path):
    output = {"boxes": [[0.0, 0, 1, 1]], "labels": [1], "scores": [0.5], **changed}
    evaluator = CocoEvaluator(coco_of(tmp_path, [SMALL]))
    with pytest.raises(ValueError, match=message):
        evaluator.rows([{key: torch.tensor(value) for key, value in output.items()}], [{"image_id": 4}])


def test_detections_of_classes_without_a_category_are_left_out(tmp_path):
    coco = read_coco(coco_of(tmp_path, [SMALL]).path, classes=("bird", "dog", "cat"))
    evaluator = CocoEvaluator(coco)
    output = {"boxes": torch.tensor([[10, 10, 30, 30]] * 2), "labels": torch.tensor([1, 3]), "scores": torch.ones(2)}
    (row,) = evaluator.rows([output], [{"image_id": 4}])
    assert row["detections"] == [{"image_id": 4, "category_id": 10, "bbox": [10, 10, 20, 20], "score": 1.0}]
