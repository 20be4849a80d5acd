"""Receptive fields of detectors at boxes: the level and the place that a box chooses, and the picture of them."""

import json
import math

import pytest
import torch

import gmconv_zoo
from gmconv_zoo.coco.folder import read_split
from gmconv_zoo.coco.shapes import write_shapes
from gmconv_zoo.detection import build
from gmconv_zoo.detection.receptive_fields import box_fields
from gmconv_zoo.files.records import read_rows

from .detectors import FROM_SCRATCH, SMALL, weights_of

WEIGHTS = {"backbone": "resnet18", "num_classes": 5, "min_size": 96, "max_size": 128}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Images with boxes of all three sizes, 12 to 106 pixels wide."""
    folder = tmp_path_factory.mktemp("shapes")
    write_shapes(folder, "val", images=6, size=320, smallest=12)
    return folder


@pytest.fixture(scope="module")
def standard(data):
    return box_fields(build(weights=weights_of(), **WEIGHTS), read_split(data, "val"), count=1)


class Averages(torch.nn.Module):
    """A backbone whose fields are squares: 4 x 4 pixels at the first level, 8 x 8 at the second, and so on."""

    def forward(self, x):
        return {str(level): torch.nn.functional.avg_pool2d(x, 4 * 2**level) for level in range(4)}


def test_a_box_chooses_the_output_at_its_centre(tmp_path):
    file, _ = write_shapes(tmp_path, "val", images=2, size=96)
    described = json.loads(file.read_text())
    boxes = [entry for entry in described["annotations"] if entry["image_id"] == 2]  # the first image has none
    file.write_text(json.dumps({**described, "annotations": boxes}))
    coco = read_split(tmp_path, "val")
    detector = build(weights=weights_of(), **{**WEIGHTS, "min_size": 72, "max_size": 96})
    detector.backbone = Averages()
    found = box_fields(detector, coco)
    assert found.keys() == {"small"}
    box = found["small"]
    assert (box.field.layer, box.field.images) == ("P2", len(coco.boxes))
    assert (box.width, box.height) == pytest.approx(tuple((coco.boxes[:, 2:] - coco.boxes[:, :2]).mean(0).tolist()))
    assert box.field.side(0.99) <= 2 * (4 + 2) + 1
    assert box.field.map.sum() == pytest.approx(1)


def test_large_boxes_choose_higher_levels(data):
    detector = build(weights=weights_of(), **{**WEIGHTS, "min_size": 480, "max_size": 640})
    detector.backbone = Averages()
    found = box_fields(detector, read_split(data, "val"), count=1)
    sizes = ("small", "medium", "large")
    for size in sizes:  # torchvision's rule: level 4 for 224 pixels, one more for twice as many
        assert found[size].field.layer == f"P{max(2, int(4 + math.log2(found[size].width / 224)))}"
    assert found["small"].field.layer < found["large"].field.layer
    assert [found[size].width for size in sizes] == sorted(found[size].width for size in sizes)


@pytest.mark.parametrize(
    "options",
    [{"stem": "dynamic", "body": "static", "stages": (1, 2)}, {"dcn_stages": (2, 3, 4)}],
    ids=["masks", "dcn"],
)
def test_fields_stay_where_conversion_keeps_outputs(data, standard, options):
    found = box_fields(build(weights=weights_of(), **WEIGHTS, **options), read_split(data, "val"), count=1)
    assert found.keys() == standard.keys() == {"small", "medium", "large"}
    for size, box in found.items():
        torch.testing.assert_close(box.field.map, standard[size].field.map, rtol=1e-2, atol=1e-6)


def test_narrow_masks_narrow_the_field(data, standard):
    detector = build(weights=weights_of(), **WEIGHTS, stem="static", body="static")
    with torch.no_grad():
        for module in detector.modules():
            if isinstance(module, gmconv_zoo.SGMConv2d):
                module.sigma.mul_(0.2)
    narrow = box_fields(detector, read_split(data, "val"), count=1)
    for size, box in standard.items():
        assert narrow[size].field.side(0.5) < box.field.side(0.5)


def test_detectors_are_drawn_next_to_each_other(data, tmp_path, gmconv):
    for name in ("std", "other"):
        gmconv_zoo.save(build(backbone="test_resnet", **FROM_SCRATCH, **SMALL), tmp_path / name)
    arguments = ["draw", tmp_path / "std", "--twin", tmp_path / "other", "--boxes", data, "--output", tmp_path / "out"]
    assert gmconv(*arguments)[0] == 0
    picture = tmp_path / "out" / "box_fields.png"
    assert picture.stat().st_size > 20_000
    rows = read_rows(picture.with_suffix(".csv"))
    assert {(row["network"], row["size"]) for row in rows} == {
        (name, size) for name in ("std", "other") for size in ("small", "medium", "large")
    }
