import math
import time

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from gmconv_zoo.engine.loop import TrainState, run_epochs
from gmconv_zoo.engine.nonfinite import NonFiniteError
from gmconv_zoo.engine.optim import TrainSettings, build_optimizer, build_scheduler

from .nets import tensor_loaders, tiny_loader, tiny_net

SETTINGS = TrainSettings(epochs=3, batch_size=8, lr=0.05, schedule="cosine", weight_decay=1e-3, clip_sigma=None)


def cross_entropy(model, batch):
    images, labels = batch
    return nn.functional.cross_entropy(model(images), labels), len(labels)


def start(net, loader, settings=SETTINGS, **options):
    accelerator = Accelerator(cpu=True, **options)
    optimizer = build_optimizer(net, settings)
    scheduler = build_scheduler(optimizer, settings, updates_per_epoch=len(loader))
    model, optimizer, loader = accelerator.prepare(net, optimizer, loader)
    return TrainState(accelerator, model, optimizer, scheduler, settings, cross_entropy), loader


def train(state, loader, *, batch_loss=cross_entropy, callbacks=(), on_first_batch=None, **changes):
    """Run epochs, one unless the settings are changed, and return the rows that they record."""
    rows = []
    callbacks = [lambda _, row: rows.append(row), *callbacks]
    state.settings, state.batch_loss = SETTINGS.override(**{"epochs": 1, **changes}), batch_loss
    run_epochs(state, loader, callbacks=callbacks, on_first_batch=on_first_batch, progress=False)
    return rows


def stops(net, loader, said, **options):
    """Training stops with a message, before any callback."""

    def refuse(*_):
        raise AssertionError("a callback ran after a bad step")

    state, loader = start(net, loader)
    with pytest.raises(NonFiniteError, match=said):
        train(state, loader, callbacks=[refuse], **options)


def test_loop_equals_plain_training_steps():
    reference, net = tiny_net(), tiny_net()
    optimizer = build_optimizer(reference, SETTINGS)
    scheduler = build_scheduler(optimizer, SETTINGS, updates_per_epoch=3)
    losses = []
    for _ in range(SETTINGS.epochs):
        for batch in tiny_loader(20):
            loss, samples = cross_entropy(reference, batch)
            loss.backward()
            nn.utils.clip_grad_norm_(reference[0].sigma_module.parameters(), 1e-3)
            nn.utils.clip_grad_norm_(reference.parameters(), 0.5)
            optimizer.step()
            optimizer.zero_grad()
            losses.append((loss.item() * samples, samples))
            scheduler.step_update(len(losses))
    rows = train(*start(net, tiny_loader(20)), epochs=3, clip_grad=0.5, clip_sigma=1e-3)
    for name, parameter in reference.named_parameters():
        torch.testing.assert_close(net.get_parameter(name), parameter, rtol=0, atol=0, msg=name)
    last_epoch = losses[-3:]
    assert rows[-1]["train_loss"] == pytest.approx(sum(x for x, _ in last_epoch) / sum(n for _, n in last_epoch))
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 3), (2, 6), (3, 9)]


@pytest.mark.parametrize("images", [24, 20, 16, 15, 13, 7])
def test_accumulated_updates_are_those_of_the_undivided_batches(images):
    def trained(batch_size: int, **options):
        net = tiny_net()
        net[3] = nn.Identity()  # a batch norm would see smaller batches
        settings = SETTINGS.override(epochs=2, schedule="constant", weight_decay=1e-4)
        state, loader = start(net, tiny_loader(images, batch_size=batch_size), settings, **options)
        rows = train(state, loader, epochs=2, clip_grad=0.5)
        return net, [row["train_loss"] for row in rows], state.step

    (whole, losses, updates), parts = trained(12), trained(4, gradient_accumulation_steps=3)
    assert parts[1:] == (pytest.approx(losses), updates)
    assert not torch.equal(whole[6].weight, tiny_net()[6].weight)
    for name, value in whole.named_parameters():
        torch.testing.assert_close(parts[0].get_parameter(name), value, msg=name)


def test_nan_loss_beyond_the_network_names_its_last_layer():
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.Linear(4, 3))

    def overflow(model, batch):
        return (model(batch[0]) * 1e38 * 1e38).sum(), 8

    said = r"finite still; going backward, 2\.bias is the first whose gradient"
    stops(net, tiny_loader(), said, batch_loss=overflow)


class Overflowing(nn.Module):
    def forward(self, x):
        return x * 1e38 * 1e38


class SteepAtZero(nn.Module):
    """Finite, with a gradient that is not."""

    def forward(self, x):
        return x + (x * 0).abs().sqrt()


def test_every_epoch_s_first_batch_is_shown_before_the_network_sees_it():
    seen = []
    state, loader = start(tiny_net(), tiny_loader())
    first = next(iter(tiny_loader()))[0]

    def look(state, batch):
        seen.append((state.epoch, state.step, torch.equal(batch[0], first)))

    train(state, loader, epochs=2, on_first_batch=look)
    assert seen == [(0, 0, True), (1, 3, True)]
    labels = []
    train(*start(tiny_net(), tensor_loaders()[0]), epochs=2, on_first_batch=lambda _, batch: labels.append(batch[1]))
    assert not torch.equal(*labels)  # shuffled anew


def test_layer_that_overflows_is_named_though_every_gradient_is_nan():
    net = tiny_net()
    net[3] = nn.Sequential(net[3], Overflowing())
    said = r"step 1: the loss is nan; .* finite still; the output of 3\.1 is not"
    stops(net, tiny_loader(), said, clip_grad=5.0)


def test_image_that_is_not_finite_is_not_blamed_on_the_first_layer():
    loader = tiny_loader(8)
    loader.dataset.tensors[0][3, 1, 2, 2] = math.nan
    stops(tiny_net(), loader, r"the input of 0\S* is not finite already")


def test_bad_gradient_is_named_before_clipping_spreads_it():
    net = tiny_net()
    net[3] = nn.Sequential(net[3], SteepAtZero())
    before = {name: value.clone() for name, value in net.named_parameters()}
    said = r"step 1: the norm of the gradients is nan; .*going backward, 3\.0\.bias is the first whose gradient"
    stops(net, tiny_loader(), said, clip_grad=5.0)
    assert all(torch.equal(net.get_parameter(name), value) for name, value in before.items())


def test_parameter_gone_bad_in_the_last_update_stops_before_callbacks():
    def bad_gradient(model, batch):
        loss, samples = cross_entropy(model, batch)
        return loss + (model[6].bias * 0).sum().sqrt(), samples  # finite, with a NaN gradient

    stops(tiny_net(), tiny_loader(8), r"6\.bias is the first parameter", batch_loss=bad_gradient)


def test_progress_bar_counts_every_step(capsys):
    run_epochs(*start(tiny_net(), tiny_loader(), SETTINGS.override(epochs=2)), progress=True)
    shown = capsys.readouterr()
    assert "6/6" in shown.err
    assert "epoch 2/2" in shown.err
    assert not shown.out


def test_seconds_spent_on_waiting_for_batches_are_told_from_those_of_steps():
    class SlowImages(torch.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            time.sleep(0.05)
            return torch.zeros(3, 8, 8), 0

    def slow_step(model, batch):
        time.sleep(0.1)
        return cross_entropy(model, batch)

    state, loader = start(tiny_net(), torch.utils.data.DataLoader(SlowImages(), 2))
    rows = train(state, loader, batch_loss=slow_step)
    assert rows[0]["data_seconds"] >= 0.2
    assert rows[0]["seconds"] - rows[0]["data_seconds"] >= 0.2


def test_the_learning_rate_of_an_epoch_is_the_last_layers():
    settings = SETTINGS.override(epochs=1, schedule="constant", layer_decay=0.5)
    net = tiny_net()
    net.pretrained_cfg = {"classifier": "6"}  # by which timm tells layers apart
    state, loader = start(net, tiny_loader(), settings)
    assert state.optimizer.param_groups[0]["lr"] < 0.05
    assert train(state, loader)[0]["lr"] == pytest.approx(0.05)
