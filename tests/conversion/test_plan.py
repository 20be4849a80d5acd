"""A convolution that a mask would change is left, and the report accounts for every convolution."""

from collections import OrderedDict

import pytest
import torch
from timm.layers import Conv2dSame, ScaledStdConv2d
from torch import nn
from torch.nn.utils import parametrizations, prune

from gmconv_zoo import conversion_report, convert

from .networks import plain


def net_of(conv: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), conv, nn.Conv2d(4, 4, 3))


def shared(hold) -> nn.Module:
    net = net_of(nn.Conv2d(4, 4, 3))
    net.w = hold(net[1].weight)
    return net


@pytest.mark.parametrize("hold", [lambda w: w, lambda w: [w], lambda w: {"tied": w}, lambda w: nn.ParameterList([w])])
def test_a_weight_that_is_also_an_attribute_stays_tied(hold):
    net = shared(hold)
    converted = convert(net, inplace=True)
    kept = net.w if isinstance(net.w, nn.Parameter) else net.w["tied"] if isinstance(net.w, dict) else net.w[0]
    assert converted[1].weight is kept
    reasons = [row.reason for row in conversion_report(converted)]
    assert reasons == ["", "its weight is shared with another layer or attribute", ""]


def changed(name: str, value: object, **options) -> nn.Conv2d:
    """A convolution with an attribute that was changed after it was built."""
    conv = nn.Conv2d(4, 4, 3, **options)
    setattr(conv, name, value)
    return conv


class WithMethod(nn.Conv2d):
    def reset_parameters(self) -> None:  # another initialisation is no obstacle
        nn.init.ones_(self.weight)

    def scaled(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * self(x)


class Called(nn.Conv2d):
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().__call__(x)


class HalvedSame(Conv2dSame):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) / 2


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: WithMethod(4, 4, 3), "a mask layer lacks what WithMethod defines (scaled)"),
        (lambda: Called(4, 4, 3), "Called computes its convolution in its own way"),
        (lambda: HalvedSame(4, 4, 3), "HalvedSame computes its convolution in its own way"),
        (lambda: prune.l1_unstructured(nn.Conv2d(4, 4, 3), "bias", 0.5), "its weight or bias is parametrized"),
        (lambda: parametrizations.weight_norm(nn.Conv2d(4, 4, 3)), "its weight or bias is parametrized"),
        (
            lambda: changed("padding", (2, 2), padding=1, padding_mode="reflect"),
            "its padding was changed after it was built, which padding_mode='reflect' does not follow",
        ),
        (
            lambda: changed("weight", nn.Parameter(torch.randn(4, 4, 5, 5))),
            "its weight has shape (4, 4, 5, 5), but its settings need (4, 4, 3, 3)",
        ),
        (lambda: changed("groups", 3, groups=2), "its settings contradict one another: in_channels must be divisible"),
        (lambda: nn.Conv2d(4, 4, 3, dtype=torch.complex64), "its weight is torch.complex64"),
        (lambda: ScaledStdConv2d(4, 4, 3), "ScaledStdConv2d computes its convolution in its own way"),
        (lambda: changed("forward", lambda x: x), "its forward has been replaced"),
    ],
)
def test_a_convolution_that_does_not_agree_with_itself_is_left(build, reason, inplace):
    net = net_of(build())
    conv = type(net[1])
    converted = convert(net, inplace=inplace)
    assert type(converted[1]) is conv
    reasons = [row.reason for row in conversion_report(converted)]
    assert [bool(found) for found in reasons] == [False, True, False]
    assert reasons[1].startswith(reason)


def test_a_padding_changed_on_a_convolution_that_pads_with_zeros_is_followed():
    net, x = net_of(nn.Conv2d(4, 4, 3)), torch.randn(1, 3, 9, 9)
    net[1].padding, net[1].dilation = 2, (2, 2)
    converted = convert(net)
    torch.testing.assert_close(converted(x), net(x))
    assert all(row.target for row in conversion_report(converted))


def test_it_prints_a_row_per_convolution_and_a_total():
    converted = convert(plain("stdconv_cifar_resnet20"), stages=(1,))
    lines = str(conversion_report(converted)).splitlines()
    assert lines[0].split() == ["name", "layer", "kernel", "stage", "mask"]
    assert lines[1].split() == ["conv1", "DGMConv2d", "3x3", "stem", "dynamic"]
    assert lines[-2].endswith("none (not in stages (1,))")
    assert lines[-1] == "7 of 19 convolutions carry a Gaussian mask."


def test_a_plain_network_and_one_without_convolutions():
    net = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Conv1d(3, 3, 3))
    net.conv_stages = (("0", "1"),)
    report = conversion_report(net)
    assert [row.stage for row in report] == [None, 1]  # the stem belongs to none
    assert [row.reason for row in report] == ["not converted", "Conv1d is not a Conv2d"]
    assert list(conversion_report(nn.Linear(2, 2))) == []
    extractor = nn.Sequential(OrderedDict(other=nn.Conv2d(3, 3, 3), stem_0=nn.Conv2d(3, 3, 3)))
    extractor.pretrained_cfg = {"first_conv": "stem.0"}  # as timm's feature extractors rename it
    assert [row.is_stem for row in conversion_report(extractor)] == [False, True]
