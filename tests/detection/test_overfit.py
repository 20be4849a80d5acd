"""Small detectors learn a dozen generated images by heart."""

import shutil

import pytest

from gmconv_zoo.coco.shapes import write_shapes
from gmconv_zoo.detection import train

from .runs import few_boxes


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("head", ["faster", "cascade"])
def test_a_small_network_reaches_an_ap_above_80_percent_on_its_training_images(head, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "build", few_boxes(train.build, proposals=64, anchors=128))
    file, images = write_shapes(tmp_path, images=12, size=256)
    shutil.copytree(images, tmp_path / "val")
    shutil.copy(file, file.with_name("instances_val.json"))
    recipe = {"epochs": 50, "batch_size": 2, "schedule": "cosine", "clip_grad": 10.0, "flip": False}
    result = train.train(
        tmp_path,
        preset=f"{head}_gmconv_l1",
        output=tmp_path / "out",
        pretrained=False,
        image_size=192,  # of images of 256x192 pixels: they keep their size
        model_options={"backbone": "resnet18", "batch_norm": "train"},
        workers=0,
        val_every=50,
        progress=False,
        overrides={**recipe, "optimizer": "adamw", "lr": 5e-4},
    )
    assert result.row["val_AP"] > 0.8, result.row
