"""Detectors are trained on folders of images with boxes, and go on after a stop to the same weights."""

import json
import logging

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import gmconv_zoo
from gmconv_zoo.coco.shapes import write_shapes
from gmconv_zoo.detection import build, train
from gmconv_zoo.detection.build import categories_of
from gmconv_zoo.detection.recipe import recipe_for
from gmconv_zoo.engine import loop
from gmconv_zoo.files.records import read_rows

from .detectors import FROM_SCRATCH, SMALL
from .runs import SCRATCH, quicken, run, shapes


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    quicken(monkeypatch)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return shapes(tmp_path_factory.mktemp("shapes"))


def rows_of(folder):
    """The rows of summary.csv, without the times."""
    rows = read_rows(folder / "summary.csv")
    return [{key: value for key, value in row.items() if "seconds" not in key} for row in rows]


def test_a_run_keeps_the_best_epoch_with_its_records_predictions_and_pictures(data, tmp_path, caplog):
    said = []
    result = run(data, tmp_path, say=said.append)
    assert said[0] == "3 classes, 5 training images and 3 validation images"
    assert "faster_gmconv_l1 on test_resnet: shorter side 48 pixels, batch norm train, frozen stages -1" in said[1]
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {
        *("summary.csv", "results.json", "recipe.json", "curves.png", "checkpoints", "config.json"),
        *("model.safetensors", "predictions.json", "predictions.csv", "predictions.png"),
    }
    results, rows = json.loads((tmp_path / "results.json").read_text()), rows_of(tmp_path)
    assert results["dataset"] == f"{data.name}, val"
    assert results["score"].keys() >= {"AP", "AP50", "APs", "per_class", "images"}
    assert results["detector"]["categories"] == {"circle": 1, "square": 2, "triangle": 3}
    assert rows[0]["val_per_class/circle"] == "0"
    assert rows[0]["val_APl"] == ""  # there is no object of that size
    assert float(rows[1]["sigma/backbone.body.layer1.0.conv1"]) == pytest.approx(5, abs=0.1)
    detector = gmconv_zoo.load(tmp_path)
    assert categories_of(detector) == {"circle": 1, "square": 2, "triangle": 3}
    assert (detector.transform.min_size, detector.transform.max_size) == ((48,), 80)
    assert result.row == result.rows[0]  # neither epoch finds anything
    assert "no object was found in the best epoch" in caplog.text


def test_a_resumed_run_equals_an_uninterrupted_one(data, tmp_path, monkeypatch):
    run(data, tmp_path / "whole")
    loss, calls = train._loss, []

    def stopped(model, batch):
        calls.append(len(batch[0]))
        if len(calls) == 5:
            raise KeyboardInterrupt
        return loss(model, batch)

    with monkeypatch.context() as patch:
        patch.setattr(train, "_loss", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(data, tmp_path / "parts", save_every=1)
    assert calls == [2, 2, 1, 2, 2]
    with pytest.raises(ValueError, match=r"is from an earlier run\. Pass resume"):
        run(data, tmp_path / "parts")
    with pytest.raises(ValueError, match=r"detector\.min_size is 48 there and 56 here"):
        run(data, tmp_path / "parts", resume=True, image_size=56)
    run(data, tmp_path / "parts", resume=True)
    whole, parts = (load_file(tmp_path / name / "checkpoints" / "last.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(parts[key], value) for key, value in whole.items())
    assert rows_of(tmp_path / "whole") == rows_of(tmp_path / "parts")


def test_flips_seed_and_images_without_boxes_are_as_the_recipe_says_and_images_are_shuffled(
    data, tmp_path, monkeypatch
):
    chosen, create, ordered = [], train.CocoImages, []

    def images(coco, **options):
        chosen.append(options)
        return create(coco, **options)

    def loader(images, batch_size, *, shuffle=False, workers=None):
        ordered.append((len(images), batch_size, shuffle))
        raise OSError

    monkeypatch.setattr(train, "CocoImages", images)
    monkeypatch.setattr(train, "coco_loader", loader)
    for number, changes in enumerate(({}, {"flip": False, "without_boxes": True})):
        with pytest.raises(OSError):
            run(data, tmp_path / str(number), seed=3, overrides=changes)
    first = {"flip": 0.5, "seed": 3, "without_boxes": False}
    assert chosen == [first, {"flip": 0.0, "seed": 3, "without_boxes": True}]
    assert ordered == [(5, 2, True)] * 2


def test_training_goes_on_from_weights_of_other_classes(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    start = build(**FROM_SCRATCH, **SMALL, backbone="test_resnet", num_classes=6)
    torch.save(start.state_dict(), tmp_path / "start.pth")
    options = {"model_options": {"backbone": "test_resnet"}, "overrides": {"lr": 0.0}, "epochs": 1}
    run(data, tmp_path / "out", preset="faster_std", weights="start.pth", pretrained=True, **options)
    assert json.loads((tmp_path / "out" / "results.json").read_text())["start"] == str(tmp_path / "start.pth")
    trained = gmconv_zoo.load(tmp_path / "out").state_dict()
    assert torch.equal(trained["backbone.fpn.inner_blocks.0.0.weight"], start.backbone.fpn.inner_blocks[0][0].weight)
    assert len(trained["roi_heads.box_predictor.cls_score.bias"]) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"model_options": {**SCRATCH, "batch_norm": "frozen"}},
            r"weights=\.\.\. \(--weights\), or batch_norm='train'",
        ),
        ({"model_options": {"backbone": "test_resnet"}}, r"batch_norm='eval' uses statistics .* batch_norm=train\)"),
        ({"model_options": {**SCRATCH, "backbones": "x"}}, "unexpected keyword argument 'backbones'.*--model-options"),
        ({"image_size": 0}, r"image_size=0: pass at least 1 pixel \(--image-size\)"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(data, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        run(data, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_one_line_and_one_of_validation_is_found_before_training(tmp_path, workers):
    shapes(tmp_path, images=2, val=1)
    for split, remedy in (
        ("train", "Repair it and go on with resume"),
        ("val", "Repair it, or remove it from the anno"),
    ):
        bad = tmp_path / split / "000001.png"
        bad.write_bytes(bad.read_bytes()[:300])
        with pytest.raises(ValueError, match=rf"^\S+{split}/000001\.png \(.*\) cannot be read\. {remedy}"):
            run(tmp_path, tmp_path / "out", workers=workers)
    Image.new("RGB", (9, 9)).save(bad)
    with pytest.raises(ValueError, match=r"^\S+000001\.png is 9x9 pixels"):
        run(tmp_path, tmp_path / "out", workers=workers)


def test_validation_sets_without_boxes_or_of_training_images_or_with_too_many_boxes_are_pointed_out(tmp_path, caplog):
    train_file, images = write_shapes(tmp_path, images=2, size=32)
    images.rename(tmp_path / "images")
    file = train_file.with_name("instances_val.json")
    described = json.loads(train_file.read_text())
    boxes = [{**described["annotations"][0], "id": number} for number in range(101)]
    file.write_text(json.dumps({**described, "annotations": boxes}))
    with pytest.raises(ValueError, match="nothing"):
        run(tmp_path, tmp_path / "out", overrides={"nothing": 1})
    assert "2 of the 2 validation images are training images too (000001.png, 000002.png)" in caplog.text
    assert f"1 of the 2 images of {file} have more than 100 objects, but a detector finds at most so" in caplog.text
    file.write_text(json.dumps({**described, "annotations": []}))
    with pytest.raises(ValueError, match="has no boxes to measure the detector by"):
        run(tmp_path, tmp_path / "out")


def test_the_recipe_is_the_1x_schedule_on_coco_and_has_small_batches_on_few_images():
    coco = recipe_for(117_266)
    assert (coco.epochs, coco.milestones, coco.batch_size, coco.lr) == (12, (8, 11), 16, 0.02)
    assert coco.warmup_epochs * 117_266 / 16 == pytest.approx(500, rel=1e-3)
    assert (coco.weight_decay, coco.sigma_weight_decay, coco.decay_norm_and_bias) == (1e-4, 1e-4, True)
    few = recipe_for(300)
    assert (few.batch_size, few.lr, few.warmup_epochs) == (4, 0.005, pytest.approx(1.2))
    given = recipe_for(300, batch_size=8, lr=0.1, warmup_epochs=0.5, epochs=24)
    assert (given.batch_size, given.lr, given.warmup_epochs, given.milestones) == (8, 0.1, 0.5, (16, 22))
    assert recipe_for(117_266, batch_size=32).lr == 0.04


def test_classes_are_named_by_their_number_without_categories_which_are_as_many():
    options = {**FROM_SCRATCH, **SMALL, "backbone": "test_resnet"}
    assert categories_of(build(**options, num_classes=3)) == {"1": 1, "2": 2}
    with pytest.raises(ValueError, match="num_classes=5 with 2 categories: pass 3"):
        build(**options, num_classes=5, categories={"cat": 17, "dog": 4})


def test_masks_of_a_preset_are_trained_and_the_stems_units_are_logged_and_revived(data, tmp_path, caplog, monkeypatch):
    smaller = train.build

    def with_a_dead_unit(*args, **options):
        detector = smaller(*args, **options)
        module = next(m.sigma_module for m in detector.modules() if isinstance(m, gmconv_zoo.DGMConv2d))
        with torch.no_grad():
            for layer in (module.fc_max, module.fc_avg):
                layer.weight.fill_(0.5)[2] = 0.0
        return detector

    monkeypatch.setattr(train, "build", with_a_dead_unit)
    clipped = []
    monkeypatch.setattr(loop, "clip_sigma_grad", lambda model, most: clipped.append(most))
    with caplog.at_level(logging.INFO):
        run(data, tmp_path, epochs=1, overrides={"clip_sigma": 0.03})
    assert "freezes every Gaussian mask" not in caplog.text
    assert "backbone.body.conv1.0: hidden units 2 were 0 for a whole batch and get new weights" in caplog.text
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["detector"]["frozen_stages"] == -1
    assert results["stem"]["images"] == 3
    row = rows_of(tmp_path)[0]
    assert len(row["sigma/backbone.body.conv1.0.live"].split()) == 4
    assert float(row["sigma/backbone.body.conv1.0.mask_spread"]) == pytest.approx(
        results["stem"]["mask_spread"], rel=1e-4
    )
    assert clipped == [0.03] * 3
