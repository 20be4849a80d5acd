import logging
from types import SimpleNamespace

import pytest
import torch

from gmconv_zoo.engine.sigma_log import revive_dead_units, sigma_row, warn_of_static_layers

from .nets import SHORT, tensor_loaders, tiny_net, train


def state(network, ema=None):
    """What the callbacks read of a run."""
    return SimpleNamespace(network=network, step=3, ema=ema, optimizer=None)


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

    def refuse(*_):
        raise AssertionError("a static network was run")

    net[2].register_forward_pre_hook(refuse)
    assert sigma_row(net[2:], images()) == {"sigma/2": 1.5}


@pytest.mark.parametrize(
    ("weight", "frozen", "warned"), [(1e-3, False, True), (1e-3, True, False), (0.1, False, False)]
)
def test_a_nearly_static_stem_that_was_trained_is_warned_of(caplog, weight, frozen, warned):
    net = spread_out(tiny_net()).requires_grad_(not frozen)
    with torch.no_grad():
        net[0].sigma_module.fc.weight.fill_(weight)
    warn_of_static_layers(net, sigma_row(net, images()))
    said = "the dynamic layer 0 is nearly static: its mask varies by"
    assert [said in record.message and "shares 1 1 1 1" in record.message for record in caplog.records] == [
        True
    ] * warned


def test_dead_units_are_revived_at_an_epochs_first_batch_alike_in_every_run_and_in_the_running_average(caplog):
    nets = [tiny_net() for _ in range(3)]
    for net, average in ((nets[0], None), (nets[1], SimpleNamespace(module=nets[2]))):
        with torch.no_grad():
            net[0].sigma_module.fc_max.weight.fill_(-1)
            net[0].sigma_module.fc_avg.weight.fill_(-1)
        with caplog.at_level(logging.INFO):
            revive_dead_units(state(net, average), (images(), None))
        torch.rand(3)  # what is drawn elsewhere does not matter
    assert "0: hidden units 0, 1, 2, 3 were 0 for a whole batch and get new weights" in caplog.text
    assert sigma_row(nets[0], images())["sigma/0.live"] == "1 1 1 1"
    modules = [dict(net[0].sigma_module.named_parameters()) for net in nets]
    for name, value in modules[0].items():
        assert torch.equal(value, modules[1][name])
        assert torch.equal(value, modules[2][name])


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
