"""Trainings of a detector that take a moment: generated shapes, a tiny backbone and small heads."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gmconv_zoo.coco.shapes import write_shapes
from gmconv_zoo.detection import heads, train
from gmconv_zoo.engine.fit import FitResult

SCRATCH = {"backbone": "test_resnet", "batch_norm": "train"}


def shapes(folder: Path, *, images: int = 5, val: int = 3) -> Path:
    """Write a dataset in COCO's layout."""
    write_shapes(folder, images=images, size=64)
    write_shapes(folder, "val", images=val, size=64, seed=1)
    return folder


def landscape_only(file: Path) -> None:
    """Leave out the images that are higher than wide: no image of a batch is padded then."""
    described = json.loads(file.read_text())
    described["images"] = [image for image in described["images"] if image["width"] > image["height"]]
    kept = {image["id"] for image in described["images"]}
    described["annotations"] = [entry for entry in described["annotations"] if entry["image_id"] in kept]
    file.write_text(json.dumps(described))


def few_boxes(build: Callable[..., Any], *, anchors: int, proposals: int) -> Callable[..., Any]:
    """Return a builder of detectors that are trained on so many anchors and proposals of each image."""

    def smaller(*args: Any, **options: Any) -> Any:
        detector = build(*args, **options)
        detector.rpn.fg_bg_sampler.batch_size_per_image = anchors
        for stage in getattr(detector.roi_heads, "stages", [detector.roi_heads]):
            stage.fg_bg_sampler.batch_size_per_image = proposals
        return detector

    return smaller


def quicken(patch: pytest.MonkeyPatch) -> None:
    """Give the detectors of this process narrow heads that are trained on few boxes."""
    patch.setattr(heads, "_HIDDEN", 16)
    patch.setattr(train, "build", few_boxes(train.build, anchors=64, proposals=16))


def run(data: Path, output: Path, *, epochs: int = 2, batch_size: int = 2, **options: Any) -> FitResult:
    """Train from random weights, without loader processes and progress bar."""
    chosen: dict[str, Any] = {"pretrained": False, "image_size": 48, "workers": 0, "progress": False}
    chosen |= {"model_options": SCRATCH, **options}
    overrides = {"epochs": epochs, "batch_size": batch_size, **chosen.pop("overrides", {})}
    return train.train(data, output=output, overrides=overrides, **chosen)
