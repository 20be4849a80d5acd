"""Fusing folds static masks away and leaves a plain network."""

import pytest
import timm
import torch
from torch import nn
from torch.nn.utils import parametrize, prune

import gmconv_zoo
from gmconv_zoo import SGMConv2d, convert, fuse
from gmconv_zoo.conversion import Conversion, present_conversion

from .networks import plain


def trained(model: nn.Module) -> nn.Module:
    """As after training: every sigma somewhere else."""
    for i, module in enumerate(model.modules()):
        if isinstance(module, SGMConv2d):
            nn.init.constant_(module.sigma, 0.6 + 0.1 * (i % 9))
    return model


def test_a_static_network_becomes_the_plain_one():
    net, x = plain("resnet18"), torch.randn(2, 3, 64, 64)
    masked = trained(convert(net, stem="static"))
    fused = fuse(masked)
    assert (fused(x) - masked(x)).abs().max() <= 1e-6 * masked(x).abs().max()
    assert list(fused.state_dict()) == list(net.state_dict())
    fresh = timm.create_model("resnet18").eval()
    fresh.load_state_dict(fused.state_dict())
    torch.testing.assert_close(fresh(x), fused(x))
    assert {type(m) for m in fused.modules()} == {type(m) for m in net.modules()}
    assert {name for m in fused.modules() for name in vars(m)} == {name for m in net.modules() for name in vars(m)} | {
        "gmconv_conversion"
    }


def test_timms_reparameterize_gives_the_same():
    masked = trained(convert(plain("tf_efficientnet_b0", num_classes=5), stem="static"))
    ours, timms = fuse(masked).state_dict(), timm.utils.reparameterize_model(masked).state_dict()
    assert ours.keys() == timms.keys()
    assert all(torch.equal(ours[key], timms[key]) for key in ours)


@pytest.mark.parametrize("fold", [fuse, timm.utils.reparameterize_model])
@pytest.mark.parametrize(
    ("stem", "body", "left"),
    [
        ("dynamic", "static", ("dynamic", None)),
        ("static", "dynamic", (None, "dynamic")),
        ("static", "static", (None, None)),
        ("dynamic", None, ("dynamic", None)),
        ("dynamic", "dynamic", ("dynamic", "dynamic")),
    ],
)
def test_the_record_names_the_masks_that_are_left(fold, stem, body, left):
    settings = {"stages": (1, 2), "sigma_init": 2.0, "sigma_design": "pair"}
    masked = convert(timm.create_model("stdconv_cifar_resnet20"), stem=stem, body=body, **settings)
    whole, present = present_conversion(masked), present_conversion(fold(masked))
    assert whole == masked.gmconv_conversion == Conversion(stem, body, **settings)
    assert present == Conversion(*left, **settings)
    assert present_conversion(masked) == whole
    assert present_conversion(timm.create_model("stdconv_cifar_resnet20")) is None


def test_the_record_of_a_part_follows_and_that_of_the_original_stays():
    whole = torch.nn.Sequential(convert(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)), stem="static"))
    assert fuse(whole)[0].gmconv_conversion == Conversion(None, None)
    assert whole[0].gmconv_conversion == Conversion("static", "static")


def test_the_model_itself_is_untouched_unless_inplace_and_the_report_of_a_fused_one_says_so():
    masked = convert(plain("stdconv_cifar_resnet20"))
    fuse(masked)
    assert isinstance(masked.layer1[0].conv1, SGMConv2d)
    assert fuse(masked, inplace=True) is masked
    assert not any(isinstance(m, SGMConv2d) for m in masked.modules())
    stem, first, *_ = gmconv_zoo.conversion_report(masked)
    assert (stem.target, first.reason) == ("dynamic", "body=None")


def test_a_shared_layer_stays_shared():
    shared = SGMConv2d(3, 3, 3, padding=1)
    fused = fuse(nn.Sequential(shared, shared))
    assert fused[0] is fused[1]
    assert type(fused[0]) is nn.Conv2d


class Doubled(nn.Module):
    """A parametrization of one's own."""

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return 2 * value


def pruned_twice(layer: nn.Module) -> nn.Module:
    prune.l1_unstructured(layer, "weight", 0.5)
    prune.l1_unstructured(layer, "bias", 0.4)
    return prune.random_unstructured(layer, "weight", 0.3)


WRAPS = {
    "pruned": pruned_twice,
    "pruned channels": lambda layer: prune.ln_structured(layer, "weight", 0.5, n=2, dim=0),
    "weight norm": nn.utils.weight_norm,
    "spectral norm": nn.utils.spectral_norm,
    "new weight norm": nn.utils.parametrizations.weight_norm,
    "new spectral norm": nn.utils.parametrizations.spectral_norm,
    "own weight": lambda layer: parametrize.register_parametrization(layer, "weight", Doubled()) or layer,
    "own sigma": lambda layer: parametrize.register_parametrization(layer, "sigma", Doubled()) or layer,
}


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("wrap", WRAPS)
def test_pruned_and_normalised_layers_become_the_kernels_that_they_compute(wrap, training):
    called = []
    net = nn.Sequential(WRAPS[wrap](SGMConv2d(2, 3, 3, sigma_init=1.1, padding="same", stride=2)))
    net[0].register_forward_hook(lambda *_: called.append(True))
    x = torch.randn(2, 2, 8, 8)
    net.train()(x)  # keeps the graph of a computed kernel, and spectral norm's vectors
    before, expected = {key: value.clone() for key, value in net.state_dict().items()}, net.eval()(x)
    fused = fuse(net.train(training))
    assert fused[0].training == training
    assert torch.equal(fused.eval()(x), expected)
    assert len(called) == 3  # the user's own hook stays
    assert list(fused.state_dict()) == ["0.weight", "0.bias"]
    assert all(parameter.requires_grad for parameter in fused.parameters())
    assert fused.load_state_dict(fused.state_dict())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert torch.equal(net.eval()(x), expected)
    assert not any(parameter.requires_grad for parameter in fuse(net.requires_grad_(False)).parameters())
