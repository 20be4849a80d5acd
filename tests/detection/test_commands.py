"""The commands detect-train, detect-eval and detect, on generated shapes."""

import json

import pytest
import torch
from PIL import Image

import gmconv_zoo
from gmconv_zoo.detection import build
from gmconv_zoo.detection.measure import read_for, resize_to

from .detectors import FROM_SCRATCH, SMALL, finding
from .runs import quicken, shapes


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """A detector with names that finds many boxes."""
    names = {"circle": 1, "square": 2, "triangle": 3}
    return gmconv_zoo.save(finding(**SMALL, categories=names), tmp_path_factory.mktemp("net"))


def test_train_evaluate_and_detect_from_the_command_line(tmp_path, gmconv, monkeypatch):
    data, out = shapes(tmp_path / "data", images=4, val=2), tmp_path / "out"
    with monkeypatch.context() as patch:
        quicken(patch)
        options = ["--no-pretrained", "--image-size", "48", "--workers", "0", "--epochs", "1", "--no-flip"]
        options += ["--preset", "cascade_std", "--schedule", "constant", "--output", out]
        model = ["--model-options", "backbone=test_resnet", "batch_norm=train", "frozen_stages=-1"]
        printed = gmconv("detect-train", data, *options, *model)[1]
        assert f"detect: gmconv detect {out} IMAGES" in printed
        recipe = json.loads((out / "recipe.json").read_text())
        assert (recipe["flip"], recipe["lr"], recipe["batch_size"]) == (False, 0.0025, 2)
        evaluated = gmconv("detect-eval", out, data, "--workers", "0", "--device", "cpu")[1]
        offline = gmconv("detect-eval", data, "--predictions", out / "predictions.json")[1]
        assert evaluated == offline
        assert evaluated.startswith("2 images; AP is the mean over IoU 0.5 to 0.95, then by class\nAP      0.0 %\n")
        found = tmp_path / "found"
        assert gmconv("detect", out, data / "val", "--score", "0.01", "--output", found)[0] == 0
    assert {path.name for path in found.iterdir()} >= {"001-000001.png", "002-000002.png", "detections.json"}


def test_options_of_the_commands_reach_what_they_are_for(tmp_path, gmconv, net, monkeypatch):
    seen, sizes = [], []

    def look(*_, **options):
        seen.append(options)
        raise OSError("seen")

    for function in ("measure.measure", "train.train", "detect.detect"):
        monkeypatch.setattr(f"gmconv_zoo.detection.{function}", look)
    monkeypatch.setattr("gmconv_zoo.detection.measure.resize_to", lambda detector, side: sizes.append(side))
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    chosen = ("--image-size", "64", "--clip-boxes", "--workers", "3")
    gmconv("detect-eval", "net", "data", *chosen, "--batch-size", "2", "--split", "train")
    gmconv("detect-train", "data", *chosen, "--weights", "start.pth", "--no-pretrained", "--preset", "none")
    gmconv("detect", net, tmp_path / "a.png", "--image-size", "64", "--score", "0.25", "--output", tmp_path / "out")
    common = {"image_size": 64, "clip": True, "workers": 3}
    assert seen[0].items() >= {**common, "batch_size": 2, "split": "train"}.items()
    assert seen[1].items() >= {**common, "weights": "start.pth", "pretrained": False, "preset": None}.items()
    assert (seen[2], sizes) == ({"least": 0.25, "device": "cpu"}, [64])


@pytest.mark.parametrize(
    ("own", "longest"), [((800, 1333), 800), ((600, 1000), 800), ((800, 800), 480), ((600, 2400), 1920)]
)
def test_another_image_size_keeps_the_ratio_of_the_longest_side(own, longest):
    detector = build(backbone="test_resnet", **FROM_SCRATCH, min_size=own[0], max_size=own[1])
    resize_to(detector, 480)
    (resized,) = detector.transform([torch.zeros(3, 100, 900)])[0].tensors
    assert max(resized.shape) == -(-longest // 32) * 32  # padded to a multiple of 32
    assert (detector.transform.min_size, detector.transform.max_size) == ((480,), longest)


def test_detections_are_printed_drawn_and_written_as_coco_results(tmp_path, gmconv, net):
    Image.new("RGB", (90, 60), (200, 30, 30)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    Image.new("L", (1, 1)).save(tmp_path / "c.png")
    Image.new("RGB", (400, 20)).save(tmp_path / "d.png")
    Image.new("RGB", (1, 3000)).save(tmp_path / "e.png")
    Image.new("RGB", (1, 900)).save(tmp_path / "f.png")
    images = [tmp_path / f"{name}.png" for name in "abcdef"]
    asked = ["detect", net, *images, "--score", "0.1", "--output", tmp_path / "out"]
    status, printed, _ = gmconv(*asked)
    lines = printed.splitlines()
    assert status == 1
    entries = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert entries[0].keys() == {"image_id", "category_id", "bbox", "score", "file_name", "category"}
    assert {entry["image_id"] for entry in entries if entry["file_name"] == str(images[0])} == {1}
    assert all(entry["score"] >= 0.1 for entry in entries)
    for entry in entries:
        x, y, width, height = entry["bbox"]
        size = {1: (90, 60), 3: (1, 1), 4: (400, 20)}[entry["image_id"]]
        assert -0.01 <= x <= x + width <= size[0] + 0.01
        assert -0.01 <= y <= y + height <= size[1] + 0.01
        assert entry["category"] == ("circle", "square", "triangle")[entry["category_id"] - 1]
    assert len(lines) == sum(max(1, sum(e["image_id"] == n for e in entries)) for n in range(1, 7)) + 1
    assert f"{images[1]}  unreadable: " in "\n".join(lines)
    assert f"{images[4]}  unreadable: 1x3000 pixels: too thin" in "\n".join(lines)
    assert f"{images[5]}  unreadable: 1x900 pixels: pass a larger --image-size for so thin an image" in "\n".join(lines)
    assert (tmp_path / "out" / "001-a.png").stat().st_size > 5_000
    assert not (tmp_path / "out" / "002-b.png").exists()
    assert "exists: choose another one, or pass overwrite" in gmconv(*asked)[0]


def test_an_evaluation_is_written_and_needs_the_same_classes(tmp_path, gmconv, net):
    data = shapes(tmp_path / "data", images=1, val=2)
    assert gmconv("detect-eval", net, data, "--workers", "0", "--batch-size", "2", "--output", tmp_path / "out")[0] == 0
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"results.json", "predictions.json", "predictions.png", "predictions.csv"}
    file = data / "annotations" / "instances_val.json"
    file.write_text(file.read_text().replace('"triangle"', '"star"'))
    assert "the 3 classes are circle, square, triangle" in gmconv("detect-eval", net, data)[0]


def test_a_detector_without_names_is_measured_by_the_ids_of_categories(tmp_path, gmconv):
    data = shapes(tmp_path / "data", images=1, val=2)
    detector = build(backbone="test_resnet", num_classes=4, **FROM_SCRATCH, **SMALL)
    gmconv_zoo.save(detector.eval(), tmp_path / "net")
    assert "  square\n" in gmconv("detect-eval", tmp_path / "net", data, "--workers", "0")[1]
    file = data / "annotations" / "instances_val.json"
    file.write_text(
        file.read_text()
        .replace('"category_id": 3', '"category_id": 8')
        .replace('"id": 3,\n      "name"', '"id": 8,\n      "name"')
    )
    assert "categories with the ids 8, but" in gmconv("detect-eval", tmp_path / "net", data)[0]


def test_categories_whose_names_are_numbers_keep_the_labels_of_their_ids(tmp_path):
    file = shapes(tmp_path, images=1, val=1) / "annotations" / "instances_val.json"
    described = json.loads(file.read_text())
    described["categories"] = [{"id": 2, "name": "1"}, {"id": 4, "name": "3"}]
    file.write_text(json.dumps({**described, "annotations": []}))
    detector = build(backbone="test_resnet", **FROM_SCRATCH, **SMALL, num_classes=5)
    assert read_for(detector, tmp_path, "val", False).labels == {2: 2, 4: 4}


def test_a_detector_is_drawn_and_reported_by_its_backbone_its_boxes_and_its_precision(tmp_path, gmconv, net):
    data = shapes(tmp_path / "data", images=1, val=3)
    assert gmconv("draw", net, "--images", data / "val", "--output", tmp_path / "drawn")[0] == 0
    assert f"\n{net},layer4,3," in (tmp_path / "drawn" / "receptive_field.csv").read_text()
    page = tmp_path / "report.html"
    assert gmconv("report", net, "--data", data, "--mistakes", "2", "--workers", "0", "--output", page)[0] == 0
    text = page.read_text()
    for title in ("Effective receptive fields", "Average precision", "Predictions next to the truth"):
        assert f">{title}</h2>" in text
    assert "2 images with their true boxes" in text
    assert "3 of data, val" in text
    assert ">circle</" in text
    assert gmconv("report", net, "--output", page, "--overwrite")[0] == 0
    assert "This needs images with boxes: pass --data." in page.read_text()
    assert "is a detector: leave out --labels." in gmconv("report", net, "--labels", "x.csv")[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["detect-eval", "DATA"], "pass either a model (MODEL) or predictions (--predictions)"),
        (["detect-eval", "NET", "DATA", "--predictions", "x.json"], "pass either a model"),
        (["detect-eval", "NET", "DATA", "--split", "test"], "no annotations of the split 'test': looked for"),
        (["detect-eval", "NET", "DATA", "--batch-size", "0"], "batch_size=0: pass at least 1 (--batch-size)"),
        (["detect", "NET", "nothing.png"], "'nothing.png' names no image"),
        (["detect", "NET", "IMAGE", "--score", "2"], "least=2.0: pass a score in [0, 1] (--score)"),
        (["detect", "gmconv_cifar_resnet20.gm_cifar10", "IMAGE"], "is not a detector"),
        (["draw", "NET", "--boxes", "DATA", "--layer", "1"], "leave out --images and --layer"),
        (["draw", "gmconv_cifar_resnet20.gm_cifar10", "--boxes", "DATA"], "is not a detector"),
        (["detect-train", "IMAGE"], "is not a folder: pass one that holds annotations/instances_train*.json or train"),
    ],
)
def test_mistakes_are_one_line(tmp_path, gmconv, net, arguments, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = shapes(tmp_path / "data", images=1, val=1)
    places = {"NET": net, "DATA": data, "IMAGE": data / "val" / "000001.png"}
    said = gmconv(*(places.get(word, word) for word in arguments))[0]
    assert message in said
    assert said.startswith(f"gmconv {arguments[0]}: ")
