"""The networks that timm has not, against their papers and torchvision."""

import pytest
import timm
import torch
import torchvision
from timm.layers import DropPath
from torch import nn

from gmconv_zoo.models.gmconv_alexnet import AlexNetMlp
from gmconv_zoo.models.gmconv_cifar_resnet import CifarResNet, PadShortcut
from gmconv_zoo.weights.specs import get_spec


@pytest.mark.parametrize(("channels", "before"), [((16, 32), 8), ((3, 8), 2), ((4, 4), 0)])
def test_parameter_free_shortcut_subsamples_and_pads_either_side(channels, before):
    x = torch.randn(2, channels[0], 5, 6)
    out = PadShortcut(*channels, stride=2)(x)
    assert out.shape == (2, channels[1], 3, 3)
    assert torch.equal(out[:, before : before + channels[0]], x[:, :, ::2, ::2])
    assert not out[:, :before].any()
    assert not out[:, before + channels[0] :].any()


@torch.no_grad()
def test_kernels_start_as_he_et_al_say():
    torch.manual_seed(0)
    net = CifarResNet((1, 1, 1), (16, 32, 64))
    for kernel in (net.layer2[0].conv2.weight, net.layer3[0].conv2.weight):
        assert kernel.std() == pytest.approx((2 / (kernel.shape[0] * 9)) ** 0.5, rel=0.05)
    assert net.layer1[0].bn2.weight.all()
    assert timm.create_model("sgmconv_resnet18").layer1[0].bn2.weight.all()  # as torchvision's
    zeroed = CifarResNet((1, 1, 1), (16, 32, 64), zero_init_last=True)
    assert not zeroed.layer1[0].bn2.weight.any()
    assert zeroed.layer1[0].bn1.weight.all()


def test_cifar_networks_without_weights_take_images_as_those_with_weights_do():
    cfg, spec = timm.get_pretrained_cfg("gmconv_cifar_resnet56"), get_spec("gmconv_cifar_resnet20")
    fields = ("input_size", "crop_pct", "interpolation", "mean", "std")
    assert all(getattr(cfg, field) == getattr(spec, field) for field in fields)


@pytest.mark.parametrize(("layers", "channels"), [((1, 1), (16, 32)), ((1,) * 5, (16,) * 5), ((1, 1, 1), (16, 32))])
def test_a_cifar_network_has_three_or_four_stages(layers, channels):
    with pytest.raises(ValueError, match="pass both for each of three or four stages"):
        CifarResNet(layers, channels)


def test_a_cifar_networks_stochastic_depth_grows_as_timms_resnets_does():
    ours, theirs = (
        timm.create_model(name, drop_path_rate=0.2, device="meta") for name in ("stdconv_cifar_resnet18", "resnet18")
    )
    rates = [[m.drop_prob for m in net.modules() if isinstance(m, DropPath)] for net in (ours, theirs)]
    assert rates[0] == pytest.approx(rates[1])
    assert len(rates[0]) == 7


def test_only_alexnet_drops_out_unless_asked():
    rates = {
        name: {
            module.p for module in timm.create_model(name, device="meta").modules() if isinstance(module, nn.Dropout)
        }
        for name in ("stdconv_alexnet", "stdconv_cifar_resnet20")
    }
    assert rates == {"stdconv_alexnet": {0.5}, "stdconv_cifar_resnet20": set()}
    assert timm.create_model("stdconv_cifar_resnet20", device="meta").drop_rate == 0
    mlp, seen = AlexNetMlp(2, 5, 0.5, "avg"), []
    for dropout in (mlp.drop1, mlp.drop2):
        dropout.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[1]))
    mlp(torch.rand(1, 2, 6, 6))
    assert seen == [2 * 36, 5]  # the inputs of each fully connected layer
    headless = timm.create_model("stdconv_alexnet", num_classes=-1, device="meta")
    assert isinstance(headless.get_classifier(), nn.Identity)  # as timm's own networks


@torch.no_grad()
def test_alexnets_feature_maps_are_torchvisions():
    torch.manual_seed(0)
    with torch.device("meta"):
        ours, theirs = timm.create_model("stdconv_alexnet").features, torchvision.models.AlexNet().features
    theirs = theirs.to_empty(device="cpu")
    for parameter in theirs.parameters():
        parameter.normal_(std=0.05)
    ours.load_state_dict(theirs.state_dict(), assign=True)
    x = torch.randn(1, 3, 70, 64)
    assert torch.equal(ours(x), theirs(x))
