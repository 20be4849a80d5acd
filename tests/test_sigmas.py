"""Sigmas can be read, and given optimizer settings of their own."""

import pytest
import timm
import torch
from timm.optim import create_optimizer_v2
from torch import nn

import gmconv_zoo
from gmconv_zoo import DGMConv2d, SGMConv2d, param_groups, sigmas
from gmconv_zoo.sigmas import sigma_parameter_names


def test_sigmas_names_every_static_layer():
    net = timm.create_model("gmconv_cifar_resnet20", sigma_init=2.0)
    nn.init.constant_(net.layer2[0].conv1.sigma, -3.0)
    found = sigmas(net)
    assert set(found) == {name for name, m in net.named_modules() if isinstance(m, SGMConv2d)}
    assert found["layer1.0.conv1"].item() == 2.0
    assert found["layer2.0.conv1"].item() == 3.0


def test_sigmas_of_a_dynamic_stem_need_images_and_leave_the_mode_alone():
    net = timm.create_model("gmconv_cifar_resnet20").train()
    net.bn1.eval()
    nn.init.normal_(net.conv1.sigma_module.fc.weight, std=0.3)
    images = torch.rand(4, 3, 32, 32) * torch.arange(1, 5).reshape(4, 1, 1, 1)
    before = net.bn1.running_mean.clone(), net.layer1[0].bn1.running_mean.clone()
    found = sigmas(net, images)
    assert found["conv1"].shape == (4, 2)
    sigma1, sigma2 = net.conv1.sigma_module(images)
    torch.testing.assert_close(found["conv1"], torch.stack([sigma1, sigma2], 1).abs().detach())
    assert net.training
    assert not net.bn1.training
    assert torch.equal(before[1], net.layer1[0].bn1.running_mean)
    assert not net.conv1.sigma_module._forward_hooks


def test_param_groups_hold_every_trainable_parameter_once():
    net = timm.create_model("gmconv_cifar_resnet20")
    net.layer3.requires_grad_(False)
    groups = {group["name"]: group for group in param_groups(net, 0.1, weight_decay=1e-3, sigma_lr_scale=5.0)}
    ids = [id(p) for group in groups.values() for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in net.parameters() if p.requires_grad)
    assert groups["sigma"]["lr"] == 0.5
    assert groups["decay"]["lr"] == groups["no_decay"]["lr"] == 0.1
    names = {id(p): name for name, p in net.named_parameters()}
    assert {names[id(p)] for p in groups["sigma"]["params"]} == {
        name for name in names.values() if name.endswith(("sigma", "fc.bias")) and name != "fc.bias"
    } - {name for name in names.values() if name.startswith("layer3")}
    assert groups["sigma"]["weight_decay"] == groups["no_decay"]["weight_decay"] == 0
    assert groups["decay"]["weight_decay"] == 1e-3
    assert all(p.ndim > 1 for p in groups["decay"]["params"])
    # 12 static layers outside the frozen stage, and the start of the dynamic stem
    assert sum(p.numel() for p in groups["sigma"]["params"]) == 12 + 2


@pytest.mark.parametrize(("decay", "expected"), [(0.0, 5.0), (0.1, 5.0 * (1 - 0.5 * 0.1) ** 3)])
def test_sigma_decay_reaches_the_optimizer(decay, expected):
    net = gmconv_zoo.convert(nn.Sequential(nn.Conv2d(3, 4, 3)), stem="static")
    optimizer = torch.optim.SGD(param_groups(net, 0.5, sigma_weight_decay=decay))
    for _ in range(3):
        net[0].sigma.grad = torch.zeros(1)
        optimizer.step()
    assert net[0].sigma.item() == pytest.approx(expected)


def test_plain_sgd_recipes_can_decay_everything():
    net = timm.create_model("sgmconv_cifar_resnet20")
    groups = param_groups(net, 0.1, sigma_weight_decay=1e-4, decay_norm_and_bias=True)
    assert {group["weight_decay"] for group in groups} == {1e-4}


def test_timms_optimizer_factory_leaves_sigmas_undecayed():
    net = timm.create_model("gmconv_cifar_resnet20")
    optimizer = create_optimizer_v2(net, "sgd", lr=0.1, weight_decay=1e-3)
    names = {id(p): n for n, p in net.named_parameters()}
    decayed = {names[id(p)] for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    assert not decayed & net.no_weight_decay()
    assert "conv1.sigma_module.fc.weight" in decayed


@pytest.mark.parametrize("name", ["weight_decay", "sigma_weight_decay", "sigma_lr_scale"])
def test_negative_settings_are_refused(name):
    with pytest.raises(ValueError, match=f"{name}=-1"):
        param_groups(nn.Linear(2, 2), 0.1, **{name: -1})


def test_nothing_trainable_is_refused():
    with pytest.raises(ValueError, match="nothing to train"):
        param_groups(nn.Linear(2, 2).requires_grad_(False), 0.1)


def test_defaults_treat_sigmas_as_other_undecayed_parameters():
    groups = {group["name"]: group for group in param_groups(timm.create_model("sgmconv_cifar_resnet20"), 0.1)}
    assert {name: (group["lr"], group["weight_decay"]) for name, group in groups.items()} == {
        "decay": (0.1, 1e-4),
        "no_decay": (0.1, 0.0),
        "sigma": (0.1, 0.0),
    }


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_settings_of_0_are_settings(value):
    net = timm.create_model("sgmconv_cifar_resnet20")
    settings = {"weight_decay": value, "sigma_lr_scale": value, "sigma_weight_decay": value}
    groups = {group["name"]: group for group in param_groups(net, 0.1, **settings, decay_norm_and_bias=True)}
    assert groups["decay"]["weight_decay"] == groups["sigma"]["weight_decay"] == value
    assert groups["sigma"]["lr"] == 0.1 * value


def test_layer_at_the_root_has_names_without_a_dot():
    assert sigma_parameter_names(SGMConv2d(3, 4, 3)) == {"sigma"}
    assert sigma_parameter_names(DGMConv2d(3, 4, 3)) == {"sigma_module.fc.bias"}
    assert sigma_parameter_names(nn.Conv2d(3, 4, 3)) == set()
    assert list(sigmas(SGMConv2d(3, 4, 3))) == [""]


def test_sigmas_are_float32_without_sign_or_gradient_and_of_every_layer():
    net = nn.Sequential(DGMConv2d(3, 4, 3, sigma_design="pair"), SGMConv2d(4, 4, 3)).bfloat16()
    nn.init.constant_(net[1].sigma, -2.0)
    with torch.no_grad():
        net[0].sigma_module.fc.bias.copy_(torch.tensor([-3.0, 4.0]))
    found = sigmas(net, torch.ones(2, 3, 8, 8, dtype=torch.bfloat16))
    assert {name: value.tolist() for name, value in found.items()} == {"1": [2.0], "0": [[3.0, 4.0]] * 2}
    assert {value.dtype for value in found.values()} == {torch.float32}
    assert not any(value.requires_grad for value in found.values())


def test_failed_run_leaves_no_hook_and_the_mode():
    net = nn.Sequential(DGMConv2d(3, 4, 3), nn.Linear(2, 2)).train()
    with pytest.raises(RuntimeError):
        sigmas(net, torch.ones(1, 3, 8, 8))
    assert not net[0].sigma_module._forward_hooks
    assert net.training
