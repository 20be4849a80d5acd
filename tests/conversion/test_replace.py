"""A convolution is replaced wherever the network holds it, with all that it carries."""

from collections import namedtuple

import pytest
import torch
from torch import nn

from gmconv_zoo import SGMConv2d, conversion_report, convert, fuse

Pair = namedtuple("Pair", ["first", "second"])


class Held(nn.Module):
    """Two registered convolutions that `forward` reaches through a plain attribute only."""

    def __init__(self, hold) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.held = hold(self.a, self.b)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        held = self.held["layers"] if isinstance(self.held, dict) else self.held
        for layer in held:
            x = layer(x)
        return x


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(
    "hold",
    [
        lambda a, b: [a, b],
        lambda a, b: (a, b),
        lambda a, b: Pair(a, b),
        lambda a, b: {"layers": [a, b]},
        lambda a, b: [nn.Sequential(a), nn.Sequential(b)],
    ],
    ids=["list", "tuple", "namedtuple", "dict", "module"],
)
def test_convolutions_in_plain_containers_are_replaced_and_fused_there(hold, inplace):
    net, x = Held(hold), torch.randn(1, 3, 8, 8)
    expected = net(x)
    masked = convert(net, stem="static", inplace=inplace)
    torch.testing.assert_close(masked(x), expected)
    masked(x).sum().backward()
    assert all(parameter.grad is not None for parameter in masked.parameters())
    masked.a.sigma.data.fill_(0.5)
    fused = fuse(masked)
    fused(x).sum().backward()
    assert all(parameter.grad is not None for parameter in fused.parameters())
    torch.testing.assert_close(fused(x), masked(x))


def test_a_list_that_holds_itself_and_a_set_of_names_are_no_obstacle():
    net = Held(lambda a, b: [a, b])
    net.loop = [net.held, "name"]
    net.loop.append(net.loop)
    assert convert(net).loop[0][1] is not net.b


@pytest.mark.parametrize("inplace", [False, True])
def test_attributes_of_a_convolution_and_of_its_weight_are_kept(inplace):
    net, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)), torch.randn(1, 3, 8, 8)
    net[1].scale, net[1].weight.tag = 3, "mine"
    net[1].register_forward_hook(lambda module, _, output: module.scale * output)
    expected = net(x)
    masked = convert(net, inplace=inplace)
    torch.testing.assert_close(masked(x), expected)
    assert masked[1].weight.tag == "mine"
    torch.testing.assert_close(fuse(masked)(x), expected)


def prepare(conv: nn.Conv2d) -> None:
    """As torch.ao.quantization's `prepare` does: an observer as a child, called from a hook."""
    conv.add_module("activation_post_process", nn.Identity())
    conv.register_forward_hook(lambda module, _, output: module.activation_post_process(output))


def gain(conv: nn.Conv2d) -> None:
    conv.register_buffer("gain", torch.tensor(2.0))
    conv.register_forward_hook(lambda module, _, output: module.gain * output)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (prepare, r"it has tensors or modules of its own (activation_post_process)"),
        (gain, "it has tensors or modules of its own (gain)"),
        (lambda conv: setattr(conv, "sigma", 3.0), "a mask layer needs the names of its attributes (sigma)"),
    ],
)
def test_a_convolution_with_tensors_of_its_own_is_left_and_works(change, reason):
    net, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)), torch.randn(1, 3, 8, 8)
    change(net[1])
    masked = convert(net)
    torch.testing.assert_close(masked(x), net(x))
    assert not isinstance(masked[1], SGMConv2d)
    assert conversion_report(masked)[1].reason == reason
