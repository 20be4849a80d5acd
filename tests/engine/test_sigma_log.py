import logging
from types import SimpleNamespace

import pytest
import torch

from gmconv_zoo.engine.sigma_log import revive_dead_units, sigma_row, warn_of_static_layers

from .nets import SHORT, tensor_loaders, tiny_net, train


def state(network, **parts):
    """What the callbacks read of a run."""
    return SimpleNamespace(network=network, step=3, ema=None, optimizer=None, **parts)


def spread_out(net):
    """Let the dynamic stem's sigmas depend on the image, through hidden units that are sure to live."""
    with torch.no_grad():
        net[0].sigma_module.fc_max.weight.abs_()
        net[0].sigma_module.fc_avg.weight.zero_()
        net[0].sigma_module.fc.weight.fill_(0.1)
        net[0].sigma_module.fc.bias.fill_(1.0)
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
    assert row["sigma/0.live"] == "1 1 1 1"
    mask = net[0].mask(images())
    assert row["sigma/0.mask_spread"] == pytest.approx(mask.std(0, correction=0).max().item(), rel=1e-5)
    assert row["sigma/0.mask_spread"] > 0


def test_live_shares_are_of_images_and_by_unit():
    net = tiny_net()
    with torch.no_grad():
        net[0].sigma_module.fc_max.weight.zero_()
        net[0].sigma_module.fc_avg.weight.fill_(1.0)[0] = 0.0  # one unit sees nothing
    bright_and_dark = images() * torch.tensor([1, 1, 1, -1, -1, -1]).view(-1, 1, 1, 1)
    assert sigma_row(net, bright_and_dark)["sigma/0.live"] == "0 0.5 0.5 0.5"


def test_a_nearly_static_stem_is_warned_of_after_training(caplog):
    net = spread_out(tiny_net())
    with torch.no_grad():
        net[0].sigma_module.fc.weight.mul_(1e-2)
    warn_of_static_layers(net, sigma_row(net, images()))
    assert "the dynamic layer 0 is nearly static: its mask varies by" in caplog.text
    assert "shares 1 1 1 1" in caplog.text


@pytest.mark.parametrize("frozen", [False, True])
def test_a_stem_that_is_dynamic_or_frozen_is_not_warned_of(caplog, frozen):
    net = tiny_net().requires_grad_(False) if frozen else spread_out(tiny_net())
    warn_of_static_layers(net, sigma_row(net, images()))
    assert not caplog.records


def test_dead_units_are_revived_at_an_epochs_first_batch_alike_in_every_run(caplog):
    nets = [tiny_net(), tiny_net()]
    for net in nets:
        with torch.no_grad():
            net[0].sigma_module.fc_max.weight.fill_(-1)
            net[0].sigma_module.fc_avg.weight.fill_(-1)
        with caplog.at_level(logging.INFO):
            revive_dead_units(state(net), (images(), None))
        torch.rand(3)  # what is drawn elsewhere does not matter
    assert "0: hidden units 0, 1, 2, 3 were 0 for a whole batch and get new weights" in caplog.text
    assert sigma_row(nets[0], images())["sigma/0.live"] == "1 1 1 1"
    assert torch.equal(nets[0][0].sigma_module.fc_avg.weight, nets[1][0].sigma_module.fc_avg.weight)


def test_a_running_average_gets_the_revived_units_too():
    net, average = tiny_net(), tiny_net()
    with torch.no_grad():
        net[0].sigma_module.fc_max.weight[2] = -9
        average[0].sigma_module.fc.weight.fill_(1.0)
    run = state(net)
    run.ema = SimpleNamespace(module=average)
    revive_dead_units(run, (images(), None))
    for own, averaged in zip(net[0].sigma_module.parameters(), average[0].sigma_module.parameters(), strict=True):
        assert torch.equal(own, averaged)


def test_sigmas_are_logged_of_the_running_average_that_the_run_ends_with():
    net = tiny_net()
    result = train(net, *tensor_loaders(), SHORT.override(ema_decay=0.9))
    assert result.rows[-1]["sigma/2"] == net[2].sigma.item()


@pytest.mark.parametrize("batch", [images()[:1], images()[:1].expand(4, -1, -1, -1)])
def test_equal_images_revive_nothing(batch):
    net = tiny_net()
    with torch.no_grad():
        net[0].sigma_module.fc_max.weight.fill_(-9)
    revive_dead_units(state(net), (batch, None))
    assert (net[0].sigma_module.fc_max.weight == -9).all()


def test_row_of_a_static_network_needs_no_run():
    net = tiny_net()[2:]

    def refuse(*_):
        raise AssertionError("the network was run")

    net.register_forward_pre_hook(refuse)
    assert sigma_row(net, images()) == {"sigma/2": 5.0}
