"""Sigmas can be read, and given optimizer settings of their own."""

import pytest
import timm
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from gmconv_zoo import DGMConv2d, SGMConv2d, clip_sigma_grad, dynamic_masks, param_groups, revive, sigmas
from gmconv_zoo.sigmas import sigma_parameter_names

from . import launch
from .engine.nets import OfLists


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


@pytest.mark.parametrize("value", [None, 0.0, 1.0])
def test_defaults_treat_sigmas_as_other_undecayed_parameters_and_settings_of_0_are_settings(value):
    net = timm.create_model("sgmconv_cifar_resnet20")
    names = ("weight_decay", "sigma_lr_scale", "sigma_weight_decay")
    settings = {} if value is None else dict.fromkeys(names, value)
    found = {group["name"]: (group["lr"], group["weight_decay"]) for group in param_groups(net, 0.1, **settings)}
    decay, scale, sigma_decay = (1e-4, 1.0, 0.0) if value is None else (value,) * 3
    assert found == {"decay": (0.1, decay), "no_decay": (0.1, 0.0), "sigma": (0.1 * scale, sigma_decay)}
    every = param_groups(net, 0.1, decay_norm_and_bias=True)
    assert [group["name"] for group in every] == ["decay", "sigma"]


def stem_with_a_dead_unit():
    """A network of a dynamic stem and a batch norm, whose second hidden unit is 0 for bright images."""
    net = nn.Sequential(DGMConv2d(3, 4, 5, sigma_init=2.0), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    module = net[0].sigma_module
    with torch.no_grad():
        module.fc.weight.fill_(0.3)
        module.fc_avg.weight.zero_()
        module.fc_max.weight.fill_(0.5)[1] = -1.0
    return net, torch.rand(5, 3, 9, 9) * torch.arange(1, 6).reshape(5, 1, 1, 1)


def test_dynamic_masks_are_those_the_layer_applies():
    net, images = stem_with_a_dead_unit()
    found = dynamic_masks(net, images)["0"]
    torch.testing.assert_close(found.mask, net[0].mask(images).detach())
    assert found.live_shares == [1.0, 0.0, 1.0, 1.0]
    assert found.spread == pytest.approx(net[0].mask(images).std(0, correction=0).max().item())
    assert dynamic_masks(net, images[:1])["0"].spread == 0
    nn.init.constant_(net.bfloat16()[0].sigma_module.fc_avg.weight, 0.5)
    low = images.bfloat16()
    torch.testing.assert_close(dynamic_masks(net, low)["0"].mask, net[0].mask(low).detach(), rtol=1e-6, atol=1e-6)
    assert list(dynamic_masks(nn.Sequential(DGMConv2d(3, 4, 3), DGMConv2d(4, 4, 3)), images)) == ["0", "1"]


def test_a_layer_that_takes_a_single_image_without_a_batch_is_measured():
    layer = DGMConv2d(3, 4, 3)
    with torch.no_grad():
        layer.sigma_module.fc.weight.normal_()
    image = torch.randn(3, 9, 9)
    (found,) = dynamic_masks(layer, image).values()
    torch.testing.assert_close(found.mask, layer.mask(image.unsqueeze(0)))


def test_a_network_of_lists_is_measured_and_revived_on_images_of_any_size():
    net = OfLists(*stem_with_a_dead_unit()[0])
    images = [torch.rand(3, 9, 9), 4 * torch.rand(3, 12, 7)]
    found = dynamic_masks(net, images)["0"]
    expected = torch.cat([net[0].mask(image.unsqueeze(0)).detach() for image in images])
    torch.testing.assert_close(found.mask, expected)
    assert revive(net, images) == {"0": [1]}
    with pytest.raises(ValueError, match="images: a list of 2: pass a batch"):
        revive(net, [images[0], images[0]])


@pytest.mark.parametrize("how", ["torch.compile", "Module.compile", "DataParallel"])
def test_a_wrapped_network_is_read_and_revived_under_the_names_of_the_network_itself(how):
    net, images = stem_with_a_dead_unit()
    wrapped = net if how == "Module.compile" else nn.DataParallel(net)
    if how == "torch.compile":
        wrapped = torch.compile(wrapped, backend="eager")
    elif how == "Module.compile":
        wrapped.compile(backend="eager")
    with torch.no_grad():
        wrapped.eval()(images)
    assert list(sigmas(wrapped, images)) == list(dynamic_masks(wrapped, images)) == ["0"]
    assert revive(wrapped, images) == {"0": [1]}


def test_a_layer_that_runs_in_training_alone_is_left_out_and_images_that_reach_no_dynamic_layer_are_refused():
    net, images = stem_with_a_dead_unit()
    net[0].auxiliary = DGMConv2d(3, 4, 3)
    assert list(sigmas(net, images)) == list(dynamic_masks(net, images)) == list(revive(net, images)) == ["0"]
    none = torch.nn.Identity()
    none.unused = DGMConv2d(3, 4, 3)
    for read in (sigmas, dynamic_masks, revive):
        with pytest.raises(ValueError, match=r"images do not reach the dynamic layer 'unused'"):
            read(none, images)


def test_processes_revive_alike_what_is_dead_in_all_of_them_and_one_may_read_sigmas_alone(tmp_path):
    launch.run(1, "-m", "tests.revived_run", tmp_path / "group")


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_revival_keeps_outputs_and_clears_the_units_momentum(optimizer):
    net, images = stem_with_a_dead_unit()
    options = {"momentum": 0.9} if optimizer is torch.optim.SGD else {}
    steps = optimizer(net.parameters(), lr=0.0, **options)
    net(images).square().sum().backward()
    steps.step()
    module = net[0].sigma_module
    memory = "momentum_buffer" if options else "exp_avg"
    for parameter in module.parameters():
        steps.state[parameter][memory].fill_(1.0)
    with torch.no_grad():
        before = net.eval()(images)
    net.train()
    state = torch.get_rng_state()
    assert revive(net, images, optimizer=steps, generator=torch.Generator()) == {"0": [1]}
    assert torch.equal(torch.get_rng_state(), state)  # the generator alone is drawn from
    assert net.training
    assert net[1].training
    with torch.no_grad():
        assert torch.equal(net.eval()(images), before)
    assert steps.state[module.fc_max.weight][memory].flatten(1).sum(1).tolist() == [3, 0, 3, 3]
    assert steps.state[module.fc_avg.weight][memory].flatten(1).sum(1).tolist() == [3, 0, 3, 3]
    assert steps.state[module.fc.weight][memory].sum(0).tolist() == [2, 0, 2, 2]
    assert steps.state[module.fc.bias][memory].tolist() == [1, 1]
    assert dynamic_masks(net, images)["0"].live_shares[1] >= 0.5
    frozen, images = stem_with_a_dead_unit()
    frozen[0].sigma_module.fc_avg.requires_grad_(False)  # one part is enough
    assert revive(frozen, images) == {}


def test_clipping_limits_each_sigma_module_and_nothing_else():
    net = nn.Sequential(DGMConv2d(3, 4, 3), DGMConv2d(4, 4, 3))
    for parameter in net.parameters():
        parameter.grad = torch.full_like(parameter, 0.5)
    small = torch.full_like(net[1].sigma_module.fc.bias, 1e-3)
    for parameter in net[1].sigma_module.parameters():
        parameter.grad.fill_(1e-4)
    clip_sigma_grad(net, 0.02)
    grads = torch.cat([p.grad.flatten() for p in net[0].sigma_module.parameters()])
    assert grads.norm().item() == pytest.approx(0.02, rel=1e-4)
    assert (grads / grads[0] == 1).all()
    assert (net[1].sigma_module.fc.bias.grad < small).all()
    assert net[1].sigma_module.fc.bias.grad[0].item() == pytest.approx(1e-4)
    assert (net[0].weight.grad == 0.5).all()
    clip_sigma_grad(net)
    assert torch.cat([p.grad.flatten() for p in net[0].sigma_module.parameters()]).norm().item() == pytest.approx(
        0.005, rel=1e-3
    )


def test_sigmas_are_float32_without_sign_or_gradient_and_of_every_layer():
    net = nn.Sequential(DGMConv2d(3, 4, 3, sigma_design="pair"), SGMConv2d(4, 4, 3)).bfloat16()
    nn.init.constant_(net[1].sigma, -2.0)
    with torch.no_grad():
        net[0].sigma_module.fc.bias.copy_(torch.tensor([-3.0, 4.0]))
    found = sigmas(net, torch.ones(2, 3, 8, 8, dtype=torch.bfloat16))
    assert {name: value.tolist() for name, value in found.items()} == {"1": [2.0], "0": [[3.0, 4.0]] * 2}
    assert {value.dtype for value in found.values()} == {torch.float32}
    assert sigma_parameter_names(net[0]) == {"sigma_module.fc.bias"}  # at the root, without a dot
    assert sigma_parameter_names(net[1]) == {"sigma"}
    assert sigma_parameter_names(nn.Conv2d(3, 4, 3)) == set()
    assert list(sigmas(net[1])) == [""]
    assert not any(value.requires_grad for value in found.values())


def test_parameters_that_a_sigma_is_computed_from_are_sigmas():
    net = nn.Sequential(DGMConv2d(3, 4, 3), SGMConv2d(4, 4, 3), SGMConv2d(4, 4, 3), SGMConv2d(4, 4, 3))
    parametrize.register_parametrization(net[0].sigma_module.fc, "bias", nn.PReLU())
    parametrizations.weight_norm(net[1], "sigma")
    prune.random_unstructured(net[2], "sigma", 1)
    nn.utils.weight_norm(net[3], "weight")
    bias = "0.sigma_module.fc.parametrizations.bias"
    computed = {f"{bias}.original", f"{bias}.0.weight", "2.sigma_orig", "3.sigma"}
    computed |= {f"1.parametrizations.sigma.original{part}" for part in (0, 1)}
    assert sigma_parameter_names(net) == computed
    (group,) = (group for group in param_groups(net, 0.1) if group["name"] == "sigma")
    assert len(group["params"]) == 6


def test_what_is_no_setting_and_images_that_show_nothing_are_refused():
    layer, net = nn.Linear(2, 2), stem_with_a_dead_unit()[0]
    for value in (-1, float("nan"), None, "1"):
        for name in ("weight_decay", "sigma_weight_decay", "sigma_lr_scale"):
            with pytest.raises(ValueError, match=f"{name}={value!r}: pass a number"):
                param_groups(layer, 0.1, **{name: value})
        with pytest.raises(ValueError, match=r"max_norm=.*: pass a gradient norm above 0"):
            clip_sigma_grad(layer, value)
    with pytest.raises(ValueError, match="nothing to train"):
        param_groups(layer.requires_grad_(False), 0.1)
    for images in (torch.rand(0, 3, 9, 9), torch.rand(1, 3, 9, 9), torch.ones(4, 3, 9, 9)):
        with pytest.raises(ValueError, match=r"pass a batch \(B, C, H, W\) of at least two different images"):
            revive(net, images)
    for read in (sigmas, dynamic_masks):
        for none in ([], torch.rand(0, 3, 9, 9)):
            with pytest.raises(ValueError, match="images holds no image: pass a batch"):
                read(net, none)
    for read in (sigmas, dynamic_masks, revive):
        with pytest.raises(TypeError, match="images holds ndarray: pass a tensor"):
            read(net, list(torch.rand(2, 3, 9, 9).numpy()))


@pytest.mark.parametrize("read", [sigmas, dynamic_masks, revive])
def test_images_of_bytes_are_refused(read):
    net = stem_with_a_dead_unit()[0].train()
    images = torch.randint(256, (2, 3, 9, 9), dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"images reach the layer '0' as torch\.uint8: pass them in floating point"):
        read(net, images)
    assert net.training
    assert not net[0]._forward_pre_hooks
