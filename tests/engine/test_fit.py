"""A run whose batches are lists of images, as detectors take them."""

import logging
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader

from gmconv_zoo.engine.fit import FitOptions, Task, default_accelerator, fit
from gmconv_zoo.engine.optim import TrainSettings

from .nets import SHORT, OfLists, tensor_loaders, tiny_net, train


def loader(brightness):
    samples = [(torch.full((3, 8, 8), brightness) * torch.rand(3, 8, 8), number) for number in range(4)]
    return DataLoader(samples, 2, collate_fn=lambda batch: tuple(map(list, zip(*batch, strict=True))))


def test_units_that_only_the_validation_images_leave_dead_are_not_revived(caplog):
    model = OfLists(*tiny_net())
    module = model[0].sigma_module
    with torch.no_grad():
        module.fc_max.weight.fill_(1.0)  # above 0 on positive images, 0 on negative ones
        module.fc_avg.weight.zero_()
    evaluator = SimpleNamespace(
        rows=lambda outputs, _: outputs, update=lambda rows: None, result=lambda: {"nothing": 0.0}
    )
    task = Task(lambda net, batch: (net(batch[0]).square().mean(), 2), lambda: evaluator, "nothing", lambda row: "")
    settings = TrainSettings(epochs=1, batch_size=2, lr=1e-4, schedule="constant")
    options = FitOptions(progress=False)
    with caplog.at_level(logging.INFO):
        fit(model, (loader(1.0), loader(-1.0)), task, settings, options, accelerator=default_accelerator(), run={})
    assert "get new weights" not in caplog.text


def test_validation_set_without_a_readable_image_is_refused():
    with pytest.raises(ValueError, match="a loader gives no batch"):
        train(tiny_net(), tensor_loaders()[0], DataLoader([], 4), SHORT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, r"seed=-1: pass a whole number from 0 to 4294967295 \(--seed\)"),
        ({"seed": 2**32}, "seed=4294967296: "),
        ({"seed": 0.5}, r"seed=0\.5: "),
        ({"val_every": 0}, r"val_every=0: pass at least 1 epoch \(--val-every\)"),
        ({"save_every": 0}, r"save_every=0: pass at least 1 update, or None \(--save-every\)"),
    ],
)
def test_options_out_of_range_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        FitOptions(**options)
