"""The fourteen configurations of Table V have the right sizes and train in every parameter."""

import pytest
import torch
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

from gmconv_zoo.detection import Parity, build_preset, presets

from .detectors import SMALL, images, targets, weights_of

QUICK = ("faster_gmconv_l1_dcn", "cascade_gmconv_l1_l2")
STANDARD = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["num_params"]


def preset(name: str, **options):
    return build_preset(name, weights=weights_of(f"{name.partition('_')[0]}_rcnn", "resnet50", 91), **SMALL, **options)


@pytest.mark.parametrize(
    ("name", "batch_norm", "parameters"),
    [
        ("faster_std", "frozen", STANDARD),
        ("faster_std", "eval", STANDARD + 53_120),
        ("faster_gmconv_l1", "frozen", STANDARD + 37),
        ("faster_gmconv_l1_l4", "frozen", STANDARD + 50),
        ("faster_dcn", "frozen", 42_336_128),
        ("cascade_std", "frozen", 69_372_396),
    ],
)
def test_parameter_counts(name, batch_norm, parameters):
    detector = preset(name, batch_norm=batch_norm)
    assert sum(parameter.numel() for parameter in detector.parameters()) == parameters


@pytest.mark.parametrize(
    "name", [pytest.param(p.name, marks=() if p.name in QUICK else pytest.mark.slow) for p in presets()]
)
def test_a_training_step_reaches_every_parameter(name):
    detector = preset(name, frozen_stages=-1)
    stem = detector.backbone.body.conv1
    if "gmconv" in name:
        with torch.no_grad():  # a dynamic stem begins as a static one: its last layer hides the layers before
            stem.sigma_module.fc.weight.fill_(0.1)
            stem.sigma_module.fc_max.weight.abs_()
    losses = detector(images(), targets())
    assert all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    still = [key for key, p in detector.named_parameters() if p.grad is None or not 0 < p.grad.abs().sum() < torch.inf]
    assert still == []


def test_a_preset_takes_mmdetections_settings_by_its_head_and_others_one_by_one():
    faster = preset("faster_std", parity=Parity(sampling_ratio=2, box_beta=0.3))
    assert (faster.roi_heads.box_beta, faster.roi_heads.box_roi_pool.aligned) == (0.3, False)
    faster, cascade = preset("faster_std"), preset("cascade_std")
    assert (faster.rpn.box_beta, faster.roi_heads.box_beta, faster.rpn.post_nms_top_n()) == (0, 0, 1000)
    stage = cascade.roi_heads.stages[2]
    assert (cascade.rpn.box_beta, stage.box_beta, cascade.rpn.post_nms_top_n()) == (1 / 9, 1.0, 2000)
    assert cascade.eval().rpn.post_nms_top_n() == 1000
    assert (stage.box_roi_pool.aligned, stage.box_roi_pool.sampling_ratio) == (True, 0)


def test_an_unknown_preset_lists_those_that_exist():
    assert len(presets()) == 14
    with pytest.raises(
        ValueError, match=r"preset 'faster' does not exist: pass one of faster_std, .*cascade_gmconv_l1_dcn"
    ):
        build_preset("faster")
