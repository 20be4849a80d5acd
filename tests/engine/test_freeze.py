import pytest
import timm
import torch

from gmconv_zoo.classify.train import train
from gmconv_zoo.engine.freeze import freeze_backbone, set_train_mode
from tests.classify.test_train import RECIPE, loaders

from .nets import tiny_net


def test_frozen_backbone_keeps_weights_and_statistics():
    net = timm.create_model("gmconv_cifar_resnet20", num_classes=3)
    freeze_backbone(net)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    train(net, *loaders(), RECIPE, progress=False)
    changed = {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"fc.weight", "fc.bias"}


def test_network_without_a_frozen_part_trains_as_a_whole():
    net = tiny_net().eval()
    set_train_mode(net)
    assert all(module.training for module in net.modules())


def test_network_without_a_classifier_is_refused():
    with pytest.raises(ValueError, match="Sequential has no classifier"):
        freeze_backbone(tiny_net())
