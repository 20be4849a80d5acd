import logging

import pytest
import torch

from gmconv_zoo.engine.sigma_log import SigmaLog, sigma_row

from .nets import tiny_net


class State:
    """What the callback reads of a run."""

    epoch = 4

    def __init__(self, network):
        self.network = network


def spread_out(net):
    """Let the dynamic stem's sigmas depend on the image, through hidden units that are sure to live."""
    with torch.no_grad():
        net[0].sigma_module.fc_max.weight.abs_()
        net[0].sigma_module.fc_avg.weight.zero_()
        net[0].sigma_module.fc.weight.fill_(0.1)
    return net


def images():
    return torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 7).view(-1, 1, 1, 1)


def test_row_holds_every_sigma_and_the_stem_s_spread():
    net = spread_out(tiny_net())
    with torch.no_grad():
        net[2].sigma.fill_(-1.5)
        first, second = net[0].sigma_module(images())
    row = sigma_row(net, images())
    assert row["sigma/2"] == pytest.approx(1.5)
    for axis, sigma in (("horizontal", first), ("vertical", second)):
        assert row[f"sigma/0.{axis}"] == pytest.approx(sigma.mean().item(), rel=1e-6)
        assert row[f"sigma/0.{axis}_spread"] == pytest.approx(sigma.std(correction=0).item(), rel=1e-5)
    assert row["sigma/0.live"] == 1.0


def test_share_of_live_units_counts_units_seen_on_any_image():
    net = tiny_net()
    with torch.no_grad():
        net[0].sigma_module.fc_max.weight.zero_()
        net[0].sigma_module.fc_avg.weight.fill_(1.0)[0] = 0.0  # one unit sees nothing
    bright_and_dark = images() * torch.tensor([1, 1, -1, -1, -1, -1]).view(-1, 1, 1, 1)
    assert sigma_row(net, bright_and_dark)["sigma/0.live"] == 0.75


def test_dead_hidden_units_are_warned_of_once(caplog):
    net = spread_out(tiny_net())
    with torch.no_grad():
        net[0].sigma_module.fc_max.weight.neg_()
    log, row = SigmaLog(images()), {}
    with caplog.at_level(logging.WARNING):
        log(State(net), row)
        log(State(net), {})
    assert row["sigma/0.live"] == 0
    assert [record.message for record in caplog.records] == [
        "epoch 4: the dynamic layer 0 has gone static: all its hidden units are 0 for each of 6 images. Every image "
        "now gets the same mask; lower the learning rate or train from an earlier state."
    ]


def test_living_units_that_do_not_reach_sigma_are_warned_of(caplog):
    net = spread_out(tiny_net())
    with torch.no_grad():
        net[0].sigma_module.fc.weight.zero_()
    SigmaLog(images())(State(net), {})
    assert "its sigmas are the same for 6 images" in caplog.text


def test_a_stem_that_is_dynamic_is_not_warned_of(caplog):
    SigmaLog(images())(State(spread_out(tiny_net())), {})
    assert not caplog.records


def test_row_of_a_static_network_needs_no_run():
    net = tiny_net()[2:]

    def refuse(*_):
        raise AssertionError("the network was run")

    net.register_forward_pre_hook(refuse)
    assert sigma_row(net, images()) == {"sigma/2": 5.0}


def test_modes_are_kept():
    net = spread_out(tiny_net()).train()
    net[3].eval()
    sigma_row(net, images())
    assert net.training
    assert not net[3].training


@pytest.mark.parametrize("case", ["frozen", "one image"])
def test_a_stem_that_cannot_vary_is_not_called_static(case, caplog):
    net = tiny_net()
    with torch.no_grad():
        net[0].sigma_module.fc.weight.zero_()
    if case == "frozen":
        net[0].sigma_module.requires_grad_(False)
    with caplog.at_level(logging.WARNING):
        SigmaLog(images()[: 1 if case == "one image" else None])(State(net), {})
    assert not caplog.records
