"""What every registered model must do, whichever it is: a new model is tested by being registered."""

import copy
import functools
from collections import Counter

import pytest
import timm
import torch
from timm.layers import select_adaptive_pool2d
from timm.models import group_parameters
from torch import nn

import gmconv_zoo
from gmconv_zoo import DGMConv2d, SGMConv2d
from gmconv_zoo.models._names import net_of, plain_name
from gmconv_zoo.weights.specs import specs_of

from .conversion.networks import plain, wake

NAMES = sorted(timm.list_models(["gmconv_*", "sgmconv_*", "stdconv_*"]))
MASKED = [name for name in NAMES if not name.startswith("stdconv")]
# paper-independent: counted by hand from the architectures; a static mask adds 1, the RGB dynamic stem 34
PARAMETERS = {
    "resnet18": (11_689_512, 11_689_529, 11_689_562),
    "resnet50": (25_557_032, 25_557_049, 25_557_082),
    "mobilenetv2": (3_504_872, 3_504_890, 3_504_923),
    "alexnet": (61_100_840, 61_100_845, 61_100_878),
    "convnext_atto": (3_695_520, 3_695_533, 3_695_566),
    "convnext_tiny": (28_589_128, 28_589_147, 28_589_180),
    "cifar_resnet20": (269_722, 269_741, 269_774),
    "cifar_resnet56": (853_018, 853_073, 853_106),
    "cifar_resnet18": (11_173_962, 11_173_979, 11_174_012),  # with 100 classes 11.22 M, as in the paper
}
SIZE, CLASSES = 64, 5


# every network once, with both kinds of mask; the other families in the long tests
COSTLY = [name if name.startswith("gmconv") else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]


_prototype = functools.cache(plain)


def create(name: str) -> nn.Module:
    """A randomised model of its own for a test, in eval mode, with `CLASSES` outputs."""
    return copy.deepcopy(_prototype(name, num_classes=CLASSES))


def on_meta(name: str, **kwargs) -> nn.Module:
    return timm.create_model(name, device="meta", **kwargs)


def images(channels: int = 3) -> torch.Tensor:
    """Three samples with different channel means."""
    return torch.randn(3, channels, SIZE, SIZE) + torch.arange(3).reshape(3, 1, 1, 1)


def plain_twin(name: str) -> str:
    return plain_name(net_of(name))


def test_the_zoo_has_the_models_it_promises():
    nets = ["resnet18", "resnet50", "alexnet", "mobilenetv2", "cifar_resnet20", "cifar_resnet56", "cifar_resnet18"]
    nets += ["convnext_atto", "convnext_tiny"]
    promised = {f"{family}_{net}" for family in ("gmconv", "sgmconv") for net in nets}
    promised |= {f"stdconv_{net}" for net in nets if net == "alexnet" or net.startswith("cifar")}
    assert set(NAMES) == promised


@pytest.mark.parametrize("net", PARAMETERS)
def test_parameter_counts(net):
    families = (plain_twin(f"gmconv_{net}"), f"sgmconv_{net}", f"gmconv_{net}")
    counts = tuple(sum(p.numel() for p in on_meta(name).parameters()) for name in families)
    assert counts == PARAMETERS[net]


@pytest.mark.parametrize("name", NAMES)
def test_a_samples_output_does_not_depend_on_its_batch_mates(name):
    net, x = wake(create(name), std=0.5), images()
    with torch.no_grad():
        torch.testing.assert_close(net(x[:1]), net(x)[:1], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(net(x.flip(0)).flip(0), net(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MASKED)
@torch.no_grad()
def test_it_is_its_plain_twin_until_its_masks_learn(name):
    twin, built = create(plain_twin(name)), create(name)
    net = gmconv_zoo.convert(twin, stem="dynamic" if name.startswith("gmconv") else "static")
    built.load_state_dict(net.state_dict())
    x = images()
    torch.testing.assert_close(built(x), twin(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_masks_are_where_the_name_says(name):
    net = on_meta(name)
    first, *rest = [m for m in net.modules() if isinstance(m, SGMConv2d | DGMConv2d)] or [None]
    expected = {"gmconv": DGMConv2d, "sgmconv": SGMConv2d, "stdconv": type(None)}[name.partition("_")[0]]
    assert type(first) is expected
    assert all(isinstance(m, SGMConv2d) for m in rest)
    assert all(max(m.kernel_size) <= 2 for m in net.modules() if type(m) is nn.Conv2d) or expected is type(None)


@pytest.mark.parametrize("name", ["gmconv_cifar_resnet20", "sgmconv_mobilenetv2"])
def test_created_without_weights_the_kernels_are_undivided(name):
    """As the paper trains from scratch: sigma 1 and sigma 5 start from the same W, but not from the same function."""
    kernels = []
    for sigma in (1.0, 5.0):
        torch.manual_seed(0)
        net = timm.create_model(name, num_classes=2, sigma_init=sigma)
        kernels.append(net.get_submodule(_stem(net)).weight)
    assert torch.equal(*kernels)


@pytest.mark.parametrize("name", NAMES)
def test_features_and_intermediates_agree(name):
    net, x = create(name), images()
    features = timm.create_model(name, features_only=True, device="meta").to_empty(device="cpu").eval()
    own = net.state_dict()
    features.load_state_dict({key: own[_unflatten(key, own)] for key in features.state_dict()})
    final, taps = net.forward_intermediates(x)
    assert len(features(x)) == len(taps) == len(net.feature_info)
    for got, tap, info in zip(features(x), taps, net.feature_info, strict=True):
        torch.testing.assert_close(got, tap, rtol=1e-4, atol=1e-4)
        assert got.shape[1] == info["num_chs"]
        assert abs(got.shape[2] - SIZE / info["reduction"]) <= 1
    torch.testing.assert_close(final, net.forward_features(x))
    with pytest.raises((ValueError, AssertionError)):
        net.forward_intermediates(x, output_fmt="NLC")


@pytest.mark.parametrize("name", NAMES)
def test_a_new_classifier_keeps_dtype_and_mode(name):
    net = on_meta(name).eval().double()
    net.reset_classifier(6)
    x = images().double().to("meta")
    assert net(x).shape == (3, 6)
    assert {p.dtype for p in net.parameters()} == {torch.float64}
    assert not any(m.training for m in net.modules())
    net.reset_classifier(0)
    assert net(x).shape == (3, net.head_hidden_size)
    net.reset_classifier(0, "")
    assert net(x).ndim == 4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 4])
def test_other_channel_counts(name, channels):
    net = on_meta(name, in_chans=channels, num_classes=2)
    assert net(images(channels).to("meta")).shape == (3, 2)
    with pytest.raises((RuntimeError, ValueError)):
        net(images(3).to("meta"))


@pytest.mark.parametrize("name", COSTLY)
def test_gradient_checkpointing_keeps_gradients(name):
    net = create(name)  # in eval mode: no dropout, and no statistics that a second forward would move
    x, gradients, runs = images(), [], Counter()
    for part, module in net.named_modules():
        # timm's ConvNeXt computes its downsampling outside of the segments that it computes again
        downsampling = "downsample" in part and "convnext" in name
        if isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1 and part != _stem(net) and not downsampling:
            module.register_forward_hook(lambda *_, part=part: runs.update([part]))
    for enable in (False, True):
        net.set_grad_checkpointing(enable)
        net.zero_grad()
        runs.clear()
        net(x).square().mean().backward()
        assert set(runs.values()) == {1 + enable}  # each is computed again in the backward pass
        gradients.append({n: p.grad.clone() for n, p in net.named_parameters()})
    for key, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][key], value, rtol=1e-4, atol=1e-5, msg=key)


@pytest.mark.parametrize("name", ["gmconv_alexnet", "gmconv_cifar_resnet20", "gmconv_mobilenetv2", "gmconv_resnet18"])
@torch.no_grad()
def test_dropout_acts_in_train_mode_only(name):
    net = timm.create_model(name, num_classes=CLASSES, drop_rate=0.5)
    maps = torch.rand(2, net.num_features, 6, 6)
    assert not torch.equal(net.train().forward_head(maps), net.forward_head(maps))
    assert torch.equal(net.eval().forward_head(maps), net.forward_head(maps))
    pooled = net.forward_head(maps, pre_logits=True)
    assert torch.equal(net.get_classifier()(pooled), net.forward_head(maps))


@pytest.mark.parametrize("name", NAMES)
def test_layer_groups_and_weight_decay_cover_the_masks(name):
    net = on_meta(name)
    layers = group_parameters(net, net.group_matcher(), reverse=True)
    assert layers.keys() == {n for n, _ in net.named_parameters()}
    numbers = [layers[n] for n, _ in net.named_parameters()]
    assert numbers == sorted(numbers)  # from the stem to the classifier
    assert {layers[n] for n in layers if n.startswith(f"{_stem(net)}.")} == {0}
    undecayed = net.no_weight_decay()
    assert undecayed == {n for n in layers if n.endswith((".sigma", "sigma_module.fc.bias"))}


@pytest.mark.parametrize("name", COSTLY)
def test_scripting_keeps_the_numbers(name):
    net, x = create(name), images()
    torch.testing.assert_close(torch.jit.script(net)(x), net(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_pickle(name, tmp_path):
    net = on_meta(name)
    torch.save(net, tmp_path / "net.pt")
    back = torch.load(tmp_path / "net.pt", weights_only=False)
    assert repr(back) == repr(net)
    assert getattr(back, "gmconv_conversion", None) == getattr(net, "gmconv_conversion", None)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_keywords_and_bad_conversions_are_refused(name):
    with pytest.raises(TypeError, match="sigma_initial"):
        on_meta(name, sigma_initial=3.0)
    if "alexnet" in name:
        with pytest.raises(ValueError, match=r"global_pool='mx': pass '' or one of \('avg', 'max'"):
            on_meta(name, global_pool="mx")
    if name.startswith("stdconv"):
        with pytest.raises(TypeError, match="sigma_init"):
            on_meta(name, sigma_init=3.0)
        return
    with pytest.raises(ValueError, match="sigma_init=-1"):
        on_meta(name, sigma_init=-1)
    with pytest.raises(ValueError, match="this network has stages 1 to"):
        on_meta(name, stages=(1, 9))
    with pytest.raises(ValueError, match="body='some'"):
        on_meta(name, body="some")


@pytest.mark.parametrize("name", MASKED)
def test_conversion_keywords_are_honoured(name):
    net = on_meta(name, stem="none", body="static", stages=(1,), sigma_design="single")
    report = gmconv_zoo.conversion_report(net)
    assert {row.stage for row in report.converted} == {1}
    assert net.pretrained_cfg["first_conv"] == _stem(net)
    both = on_meta(name, stem="dynamic", body="none", sigma_design="single")
    assert [row.target for row in gmconv_zoo.conversion_report(both).converted] == ["dynamic"]
    assert both.get_submodule(_stem(both)).sigma_module.fc.out_features == 1
    assert len(both.pretrained_cfg["first_conv"]) == 3


@pytest.mark.parametrize("name", [n for n in NAMES if not specs_of(n)])
def test_no_weights_are_promised_that_do_not_exist(name):
    with pytest.raises(RuntimeError, match=f"no pretrained weights exist for {name}"):
        timm.create_model(name, pretrained=True)


def _stem(net: nn.Module) -> str:
    first = net.pretrained_cfg["first_conv"]
    return first if isinstance(first, str) else first[0]


def _unflatten(key: str, own: dict) -> str:
    """timm's feature extractors write blocks_0 for blocks.0."""
    return next(name for name in own if name.replace(".", "_") == key.replace(".", "_"))


@pytest.mark.parametrize("pool", ["max", "avgmax", "catavgmax"])
@pytest.mark.parametrize("name", ["stdconv_alexnet", "stdconv_cifar_resnet20"])
def test_the_pooling_is_timms_and_outlives_the_classifier(name, pool):
    net = timm.create_model(name, global_pool=pool, num_classes=2).eval()
    images = torch.randn(2, 3, 300, 300) if "alexnet" in name else torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        maps = net.forward_features(images)
        expected = net.forward_head(maps, pre_logits=True)
        if name == "stdconv_alexnet":
            pooled = select_adaptive_pool2d(maps, pool, (6, 6)).flatten(1)
            mlp = net.pre_logits
            torch.testing.assert_close(mlp.fc2(mlp.fc1(pooled).relu()).relu(), expected)
        net.reset_classifier(5)
        torch.testing.assert_close(net.forward_head(maps, pre_logits=True), expected)
        assert net(images).shape == (2, 5)
        net.reset_classifier(5, "avg")
        average = net.forward_head(maps, pre_logits=True)
        assert average.shape != expected.shape or not torch.allclose(average, expected)
