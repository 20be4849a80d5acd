"""Small detectors and weights for them, whose norms have statistics and whose branches are awake."""

import functools

import torch
from torch import nn

from gmconv_zoo.detection import build
from tests.conversion.networks import randomised

FROM_SCRATCH = {"pretrained": False, "batch_norm": "train", "frozen_stages": -1}
SMALL = {"min_size": 64, "max_size": 96}


@functools.cache
def weights_of(head: str = "faster_rcnn", backbone: str = "resnet18", num_classes: int = 5) -> dict[str, torch.Tensor]:
    """A standard detector's state dict; its scores are spread, so that the order of its detections is certain."""
    torch.manual_seed(0)
    detector = randomised(build(head, backbone=backbone, num_classes=num_classes, **FROM_SCRATCH))
    tensors = detector.state_dict()
    for name in tensors:
        if name.endswith(("cls_score.weight", "cls_logits.weight")):
            tensors[name] *= 20
    return tensors


def finding(**options) -> nn.Module:
    """A detector on test_resnet that finds many boxes, with scores that differ."""
    torch.manual_seed(0)
    detector = build(backbone="test_resnet", **{**FROM_SCRATCH, **options}).eval()
    with torch.no_grad():
        detector.roi_heads.box_predictor.cls_score.weight.mul_(30)
    return detector


def images() -> list[torch.Tensor]:
    """Two images of different sizes."""
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(3, 60, 75, generator=generator), torch.rand(3, 64, 40, generator=generator)]


def targets() -> list[dict[str, torch.Tensor]]:
    """Two objects in the first image, none in the second."""
    boxes = torch.tensor([[5.0, 5.0, 40.0, 30.0], [30.0, 20.0, 70.0, 55.0]])
    none = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    return [{"boxes": boxes, "labels": torch.tensor([3, 1])}, none]


@torch.no_grad()
def detect(detector: nn.Module) -> list[dict[str, torch.Tensor]]:
    """What a detector finds in `images`, in eval mode."""
    return detector.eval()(images())


def assert_same_detections(found: list[dict[str, torch.Tensor]], wanted: list[dict[str, torch.Tensor]]) -> None:
    """Compare boxes, labels and scores, of which there have to be some."""
    assert all(len(image["boxes"]) for image in wanted)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)
