"""Converting keeps outputs and everything else about a network."""

import copy

import pytest
import timm
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

import gmconv_zoo
from gmconv_zoo import DGMConv2d, SGMConv2d, convert, fuse
from gmconv_zoo.conversion import Conversion, present_conversion
from gmconv_zoo.layers import circular_mask

from .networks import OwnNet, plain, randomised

FAMILIES = [
    "resnext26ts", "densenet121", "tf_efficientnet_b0", "convnext_atto", "regnetx_002",
    "mobilenetv3_small_050", "hrnet_w18_small",
]  # fmt: skip
MORE_FAMILIES = [
    "resnet18", "resnet26d", "mobilenetv2_100", "efficientnet_b0", "mixnet_s", "ghostnet_050", "inception_v3",
    "cspresnet50", "dla34", "dpn48b", "res2net50_26w_4s", "seresnet18", "repvgg_a0", "rexnet_100", "selecsls42",
    "xception41", "fbnetc_100", "vgg11_bn",
]  # fmt: skip


def test_a_network_that_is_wrapped_for_several_processes_is_refused():
    wrapped = nn.parallel.DistributedDataParallel.__new__(nn.parallel.DistributedDataParallel)
    with pytest.raises(ValueError, match="before wrapping it"):
        convert(wrapped)


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile])
def test_the_record_is_that_of_the_network_inside_a_wrapper(wrap, tmp_path):
    net = plain("resnet18", num_classes=3)
    wrapped = convert(wrap(net), inplace=True)
    assert present_conversion(wrapped) == present_conversion(net) == Conversion()
    gmconv_zoo.save(net, tmp_path)
    assert gmconv_zoo.load(tmp_path).state_dict().keys() == net.state_dict().keys()


@pytest.mark.parametrize("stem", ["dynamic", "static"])
def test_the_default_device_does_not_matter(stem):
    net = plain("stdconv_cifar_resnet20")
    x = torch.randn(1, 3, 32, 32)
    with torch.device("meta"):
        converted = convert(net, stem=stem)
        shapes_only = convert(timm.create_model("stdconv_cifar_resnet20"), stem=stem)
    torch.testing.assert_close(converted(x), net(x), rtol=1e-4, atol=1e-5)
    assert {parameter.device.type for parameter in shapes_only.parameters()} == {"meta"}


def relative_difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(((a - b).abs().max() / b.abs().max()).detach())


@pytest.mark.parametrize("name", [*FAMILIES, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE_FAMILIES)])
@torch.no_grad()
def test_convert_keeps_the_outputs_of_a_family(name):
    net = plain(name, num_classes=10)
    size = max(96, (net.pretrained_cfg.get("min_input_size") or (3, 96))[1])
    x = torch.randn(2, 3, size, size)
    expected = net(x)
    converted = convert(net)
    assert relative_difference(converted(x), expected) < 1e-4
    report = gmconv_zoo.conversion_report(converted)
    convs = [m for m in net.modules() if isinstance(m, nn.modules.conv._ConvNd)]
    assert len({row.name for row in report}) == len(report) >= len(convs)
    assert all(bool(row.target) != bool(row.reason) for row in report)
    assert len(report.converted) == sum(isinstance(m, SGMConv2d | DGMConv2d) for m in converted.modules())
    assert report.converted[0].target == "dynamic"
    assert all(row.reason for row in report if max(row.kernel) <= 2)  # such masks are identically 1
    assert relative_difference(gmconv_zoo.fuse(converted)(x), expected) < 1e-4


KINDS = ["dynamic", "static", None]


@pytest.mark.parametrize(("stem", "body"), [(s, b) for s in KINDS for b in KINDS if s or b])
@pytest.mark.parametrize("sigma_init", [0.5, 1.0, 5.0])
def test_every_combination_keeps_outputs_to_the_last_bits(stem, body, sigma_init):
    net, x = plain("stdconv_cifar_resnet20").double(), torch.randn(3, 3, 32, 32, dtype=torch.float64)
    converted = convert(net, stem=stem, body=body, sigma_init=sigma_init)
    assert relative_difference(converted(x), net(x)) < 1e-12
    kinds = {"dynamic": DGMConv2d, "static": SGMConv2d, None: nn.Conv2d}
    assert type(converted.conv1) is kinds[stem]
    assert type(converted.layer1[0].conv1) is kinds[body]


def test_a_mask_changes_the_kernel_once_sigma_moves_or_without_preserve():
    """The guard of all tests above: equality is not for lack of a mask."""
    net, x = plain("stdconv_cifar_resnet20"), torch.randn(1, 3, 32, 32)
    undivided = convert(net, sigma_init=1.0, preserve=False)
    assert torch.equal(undivided.conv1.weight, net.conv1.weight)
    assert relative_difference(undivided(x), net(x)) > 1e-2
    converted = convert(net, stem="static")
    nn.init.constant_(converted.layer1[0].conv1.sigma, 0.7)
    assert relative_difference(converted(x), net(x)) > 1e-2


def test_the_original_is_untouched_unless_inplace():
    net = plain("stdconv_cifar_resnet20")
    before = copy.deepcopy(net.state_dict())
    assert convert(net) is not net
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert convert(net, inplace=True) is net
    assert isinstance(net.conv1, DGMConv2d)


def test_dtype_device_mode_memory_format_requires_grad_and_hooks_are_kept():
    net = plain("stdconv_cifar_resnet20").double().to(memory_format=torch.channels_last)
    net.layer2.requires_grad_(False)
    net.layer3.train()
    seen = []
    net.layer1[0].conv1.register_forward_hook(lambda *_: seen.append(1))
    converted = convert(net)
    assert {p.dtype for p in converted.parameters()} == {torch.float64}
    assert not any(p.requires_grad for p in converted.layer2.parameters())
    assert all(p.requires_grad for p in converted.layer1.parameters())
    assert converted.layer3[0].conv1.training
    assert not converted.layer1[0].conv1.training
    assert converted.layer1[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    converted(torch.randn(1, 3, 32, 32, dtype=torch.float64))
    assert seen == [1]
    assert next(convert(timm.create_model("resnet18", device="meta")).parameters()).is_meta


def test_shared_layers_of_an_own_network_stay_shared_and_the_rest_is_reported():
    net, x = randomised(OwnNet()), torch.randn(2, 3, 48, 48)
    converted = convert(net)
    assert relative_difference(converted(x), net(x)) < 1e-4
    assert converted.twice is converted.again
    assert isinstance(converted.twice, SGMConv2d)
    reasons = {row.name: row.reason for row in gmconv_zoo.conversion_report(converted)}
    assert reasons["stem"] == reasons["twice"] == reasons["again"] == ""
    assert "shared with another" in reasons["tied_a"]
    assert "1x1" in reasons["point"]
    assert "parametrized" in reasons["normed"]
    assert "not a Conv2d" in reasons["up"]
    assert len(reasons) == 8


@pytest.mark.parametrize(("kernel", "masked"), [((2, 2), False), ((1, 2), False), ((3, 2), True), ((1, 3), True)])
def test_a_kernel_whose_taps_are_all_nearest_the_centre_is_left(kernel, masked):
    converted = convert(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, kernel, stride=2)))
    assert isinstance(converted[1], SGMConv2d) is masked
    assert bool((circular_mask(torch.tensor([0.5]), kernel) == 1).all()) is not masked
    reason = f"{kernel[0]}x{kernel[1]}: its mask is identically 1"
    assert gmconv_zoo.conversion_report(converted)[1].reason == ("" if masked else reason)


def test_a_single_layer_can_be_the_whole_model():
    conv, x = nn.Conv2d(3, 4, 3), torch.randn(1, 3, 8, 8)
    layer = convert(conv, stem="static")
    assert isinstance(layer, SGMConv2d)
    torch.testing.assert_close(layer(x), conv(x))
    assert type(gmconv_zoo.fuse(layer)) is nn.Conv2d


def test_features_only_networks_convert():
    net = plain("resnet18", features_only=True)
    converted, x = convert(net, stages=(1,)), torch.randn(1, 3, 64, 64)
    for a, b in zip(converted(x), net(x), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert isinstance(converted["conv1"], DGMConv2d)
    assert isinstance(converted["layer1"][0].conv1, SGMConv2d)
    assert type(converted["layer2"][0].conv1) is nn.Conv2d


@pytest.mark.parametrize(
    ("name", "stages", "masked"),
    [
        ("resnet18", (1, 2), {"layer1", "layer2"}),
        ("resnet18", (4,), {"layer4"}),
        ("resnet26d", (1,), {"layer1"}),
        ("mobilenetv2_100", (1, 4), {"blocks.0", "blocks.3", "blocks.4"}),
        ("stdconv_alexnet", (1, 3), {"features.3", "features.8"}),
        ("stdconv_cifar_resnet20", (3,), {"layer3"}),
        ("convnext_atto", (2,), {"stages.1"}),
    ],
)
def test_stages_reach_their_own_blocks(name, stages, masked):
    with torch.device("meta"):
        net = timm.create_model(name)
    report = gmconv_zoo.conversion_report(convert(net, stages=stages))
    body = [row.name for row in report.converted if not row.is_stem]
    depth = max(len(prefix.split(".")) for prefix in masked)
    assert {".".join(row.split(".")[:depth]) for row in body} == masked


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        ("stdconv_cifar_resnet20", {"stem": "elliptic"}, "stem='elliptic': pass 'dynamic', 'static' or None"),
        ("stdconv_cifar_resnet20", {"body": 3}, "body=3"),
        ("stdconv_cifar_resnet20", {"stem": None, "body": None}, "nothing would be converted"),
        ("stdconv_cifar_resnet20", {"sigma_init": 0}, "sigma_init=0"),
        ("stdconv_cifar_resnet20", {"sigma_init": "5"}, "sigma_init='5'"),
        ("stdconv_cifar_resnet20", {"sigma_design": "r"}, "sigma_design='r': pass one of"),
        ("stdconv_cifar_resnet20", {"stages": (1, 4)}, "this network has stages 1 to 3"),
        ("stdconv_cifar_resnet20", {"stages": (0,)}, "counted from 1"),
        ("stdconv_cifar_resnet20", {"stages": 2}, "pass a sequence"),
        ("stdconv_cifar_resnet20", {"stages": ()}, "at least one stage"),
        ("stdconv_cifar_resnet20", {"sigma_init": 0.2}, "ill-conditioned"),
        ("resnet18", {"sigma_init": 1.0}, r"the mask of conv1 \(kernel \(7, 7\)\) falls to 0.00012"),
        ("resnet18", {"stem": None, "sigma_init": 0.2}, r"the mask of layer1\.0\.conv1 \(kernel \(3, 3\)\)"),
        ("gmconv_cifar_resnet20", {}, "has Gaussian mask convolutions already"),
        ("sgmconv_cifar_resnet20", {}, "has Gaussian mask convolutions already"),
    ],
)
def test_bad_input_is_refused_before_anything_changes(build, arguments, message):
    net = timm.create_model(build)
    before = {name: (type(m), id(m)) for name, m in net.named_modules()}
    with pytest.raises(ValueError, match=message):
        convert(net, **arguments, inplace=True)
    assert {name: (type(m), id(m)) for name, m in net.named_modules()} == before


def test_networks_that_cannot_be_converted_are_named():
    with pytest.raises(ValueError, match="Linear has no convolution"):
        convert(nn.Linear(3, 3))
    for sigma_init in (5.0, "kernel"):
        with pytest.raises(ValueError, match=r"none of the 1 convolutions .* can be masked: 1x1"):
            convert(nn.Sequential(nn.Conv2d(3, 3, 1)), sigma_init=sigma_init)
    with pytest.raises(TypeError, match="pass a network"):
        convert("resnet18")
    for change in (convert, fuse):
        with pytest.raises(
            ValueError, match="RecursiveScriptModule is a scripted network: pass the one that was scripted"
        ):
            change(torch.jit.script(SGMConv2d(3, 3, 3)))
    with pytest.raises(ValueError, match="OwnNet has no known stages"):
        convert(OwnNet(), stages=(1,))


def test_a_dynamic_body_is_warned_about_and_an_ordinary_network_is_not(caplog):
    convert(plain("resnet18"))
    assert not caplog.text
    wide = convert(nn.Sequential(nn.Conv2d(6, 16, 3), nn.Conv2d(16, 4, 3)), body="dynamic")
    assert "hard to train" in caplog.text
    assert [layer.sigma_module.fc.in_features for layer in wide] == [4, 24]  # a stem's width, and that of Eq. 7
    assert isinstance(convert(nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3)))[1], SGMConv2d)
    assert "the stem 0 stays as it is: 1x1" in caplog.text


class Aliased(nn.Module):
    """A block under two names, and a list of children beside the children themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1))
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 5, padding=2))
        self.also_second = self.second
        self.everything = nn.Sequential(self.first, self.second)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.also_second(self.second(self.first(x))) + self.everything(x)


@pytest.mark.parametrize("stem", ["dynamic", "static", None])
@pytest.mark.parametrize("sigma_init", [1.0, 5.0])
def test_blocks_under_two_names_are_converted_once(stem, sigma_init):
    net, x = Aliased(), torch.randn(2, 3, 16, 16)
    converted = convert(net, stem=stem, sigma_init=sigma_init)
    assert relative_difference(converted(x), net(x)) < 1e-5
    assert converted.everything[1] is converted.second is converted.also_second
    kinds = {"dynamic": DGMConv2d, "static": SGMConv2d, None: nn.Conv2d}
    assert type(converted.first[0]) is kinds[stem]
    assert relative_difference(gmconv_zoo.fuse(converted)(x), net(x)) < 1e-5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("kernel", [(3, 3), (5, 2)])
def test_kernel_is_divided_by_the_mask_that_the_layer_will_have(dtype, kernel):
    conv = nn.Conv2d(3, 2, kernel, dtype=dtype)
    layer = convert(conv, stem="static", sigma_init=1.3)
    mask = circular_mask(torch.tensor([1.3], dtype=dtype), kernel)
    assert torch.equal(layer.weight, (conv.weight / mask).to(dtype))
    torch.testing.assert_close(layer.masked_weight(), conv.weight)


@pytest.mark.parametrize("name", ["repvgg_a0", "mobileone_s0"])
def test_networks_that_fold_their_own_branches_are_warned_about(name, caplog):
    net, x = plain(name, num_classes=3), torch.randn(1, 3, 64, 64)
    converted = convert(net, stem="static")
    assert "call gmconv_zoo.fuse before" in caplog.text
    folded = timm.utils.reparameterize_model(gmconv_zoo.fuse(converted))
    assert relative_difference(folded(x), net(x)) < 1e-3
    caplog.clear()
    net.block = nn.Sequential(nn.Conv2d(3, 3, 3))
    net.block.switch_to_deploy = len
    convert(net)
    assert "Sequential)" in caplog.text  # a block right below the network


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "densenet121"])
def test_stages_of_feature_extractors_are_known(name):
    with torch.device("meta"):
        net = timm.create_model(name, features_only=True, out_indices=(0, 1, 2))
    report = gmconv_zoo.conversion_report(convert(net, stages=(1,)))
    assert {row.stage for row in report.converted if not row.is_stem} == {1}


def test_sigma_of_the_kernel_follows_every_layers_kernel_and_keeps_the_outputs():
    plain = nn.Sequential(
        nn.Conv2d(3, 4, 7, padding=3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 5, 1), nn.Conv2d(5, 5, (1, 5))
    )
    model = gmconv_zoo.convert(plain.double(), sigma_init="kernel")
    assert [model[0].sigma_module.fc.bias[0].item(), model[1].sigma.item()] == [3.0, 1.0]
    assert model[3].sigma.item() == pytest.approx(2 / 2**0.5)
    x = torch.randn(2, 3, 12, 12, dtype=torch.float64)
    torch.testing.assert_close(model(x), plain(x))


class Numbered(nn.Module):
    """Stages whose names begin with one another."""

    def __init__(self, **attributes: object) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        for number in (1, 2, 10):
            self.add_module(f"stage{number}", nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)))
        for name, value in attributes.items():
            setattr(self, name, value)


@pytest.mark.parametrize(("attribute", "order"), [("conv_stages", (10, 2, 1)), ("feature_info", (1, 2, 10))])
def test_a_stage_does_not_reach_into_one_whose_name_begins_as_its_own(attribute, order):
    stages = [f"stage{number}" for number in order]
    told = {attribute: [(name,) if attribute == "conv_stages" else {"module": name} for name in stages]}
    for number, name in enumerate(stages, start=1):
        report = gmconv_zoo.conversion_report(convert(Numbered(**told), stages=(number,)))
        assert {row.name for row in report.converted} == {"stem", f"{name}.0", f"{name}.1"}
        assert {row.stage for row in report if row.name.startswith(f"{name}.")} == {number}


def test_frozen_convolutions_have_frozen_sigmas_and_keep_their_bias():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3))
    net[0].weight.requires_grad_(False)
    net[1].weight.requires_grad_(False)
    net[2].bias.requires_grad_(False)
    converted = convert(net)
    frozen = {name for name, parameter in converted.named_parameters() if not parameter.requires_grad}
    stem = {f"0.sigma_module.{name}" for name, _ in converted[0].sigma_module.named_parameters()}
    assert frozen == {"0.weight", "1.weight", "1.sigma", "2.bias"} | stem
    assert all(torch.equal(converted[i].bias, net[i].bias) for i in range(3))
    assert converted[1].bias is not net[1].bias


def test_a_pruned_network_that_was_run_with_gradients_is_converted_on_a_copy():
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3))
    prune.l1_unstructured(plain[1], "weight", 0.5)
    x = torch.randn(2, 3, 9, 9)
    expected = plain(x)
    torch.testing.assert_close(convert(plain)(x), expected)
    assert isinstance(plain[0], nn.Conv2d)
    assert not isinstance(plain[0], DGMConv2d)


def test_parametrized_mask_layers_still_count_as_masks():
    model = convert(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)))
    for layer in model:
        parametrizations.weight_norm(layer)
    found = present_conversion(model)
    assert (found.stem, found.body) == ("dynamic", "static")
