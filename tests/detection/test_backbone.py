"""Batch norms and frozen stages do what their names say, on any backbone with the right strides."""

import pytest
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from gmconv_zoo.detection.backbone import PyramidBackbone, create_body
from tests.conversion.networks import randomised


def backbone(name="resnet18", **options):
    return PyramidBackbone(create_body(name, pretrained=False), **{"batch_norm": "eval", "frozen_stages": 1, **options})


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "mobilenetv2_100", "sgmconv_resnet18", "vgg11_bn"])
def test_the_pyramid_has_five_levels_of_one_width(name):
    with torch.no_grad():
        levels = backbone(name)(torch.rand(1, 3, 64, 96))
    sizes = {"0": (16, 24), "1": (8, 12), "2": (4, 6), "3": (2, 3), "pool": (1, 2)}
    assert {level: tuple(feature.shape) for level, feature in levels.items()} == {
        level: (1, 256, *size) for level, size in sizes.items()
    }


@pytest.mark.parametrize(
    ("frozen", "held"), [(-1, ()), (0, ("conv1", "bn1")), (2, ("conv1", "bn1", "layer1", "layer2"))]
)
def test_frozen_stages_are_the_stem_and_the_first_stages(frozen, held):
    body = backbone(frozen_stages=frozen).body
    still = {name.partition(".")[0] for name, parameter in body.named_parameters() if not parameter.requires_grad}
    learning = {name.partition(".")[0] for name, parameter in body.named_parameters() if parameter.requires_grad}
    assert still == set(held)
    assert not still & learning


@pytest.mark.parametrize(
    ("policy", "kind", "moving"),
    [
        ("frozen", FrozenBatchNorm2d, set()),
        ("eval", nn.BatchNorm2d, set()),
        ("train", nn.BatchNorm2d, {"layer2", "layer3", "layer4"}),
        ("sync", nn.SyncBatchNorm, {"layer2", "layer3", "layer4"}),
    ],
)
def test_batch_norm_statistics_move_only_where_they_should(policy, kind, moving):
    net = backbone(batch_norm=policy)
    norms = {name: module for name, module in net.body.named_modules() if hasattr(module, "running_mean")}
    assert {type(norm) for norm in norms.values()} == {kind}
    randomised(net).train()
    before = {name: norm.running_mean.clone() for name, norm in norms.items()}
    with torch.no_grad():
        net(torch.rand(2, 3, 64, 64))
    moved = {name.partition(".")[0] for name, norm in norms.items() if not norm.running_mean.equal(before[name])}
    assert moved == moving
    trainable = {
        name.partition(".")[0] for name, norm in norms.items() if any(p.requires_grad for p in norm.parameters())
    }
    assert trainable == (set() if policy == "frozen" else {"layer2", "layer3", "layer4"})
