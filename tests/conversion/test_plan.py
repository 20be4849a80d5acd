"""A convolution that a mask would change is left, with the reason in the report."""

import pytest
import torch
from timm.layers import ScaledStdConv2d
from torch import nn
from torch.nn.utils import parametrizations, prune

from gmconv_zoo import conversion_report, convert


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


def reflecting() -> nn.Conv2d:
    conv = nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")
    conv.padding = (2, 2)
    return conv


def resized() -> nn.Conv2d:
    conv = nn.Conv2d(4, 4, 3)
    conv.weight = nn.Parameter(torch.randn(4, 4, 5, 5))
    return conv


def regrouped() -> nn.Conv2d:
    conv = nn.Conv2d(4, 4, 3, groups=2)
    conv.groups = 3
    return conv


def replaced() -> nn.Conv2d:
    conv = nn.Conv2d(4, 4, 3)
    conv.forward = lambda x: x
    return conv


def pruned() -> nn.Conv2d:
    conv = nn.Conv2d(4, 4, 3)
    prune.l1_unstructured(conv, "bias", 0.5)
    return conv


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (pruned, "its weight or bias is parametrized"),
        (lambda: parametrizations.weight_norm(nn.Conv2d(4, 4, 3)), "its weight or bias is parametrized"),
        (reflecting, "its padding was changed after it was built, which padding_mode='reflect' does not follow"),
        (resized, "its weight has shape (4, 4, 5, 5), but its settings need (4, 4, 3, 3)"),
        (regrouped, "its settings contradict one another: in_channels must be divisible by groups"),
        (lambda: nn.Conv2d(4, 4, 3, dtype=torch.complex64), "its weight is torch.complex64"),
        (lambda: ScaledStdConv2d(4, 4, 3), "ScaledStdConv2d computes its convolution in its own way"),
        (replaced, "its forward has been replaced"),
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
