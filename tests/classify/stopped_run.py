"""A training that is stopped and goes on, compared bit by bit with one that is not."""

import pytest
import torch

from gmconv_zoo.classify import train as train_module
from gmconv_zoo.classify.train import train_by_recipe
from gmconv_zoo.engine.checkpoint import Checkpoints
from gmconv_zoo.engine.fit import default_accelerator

from .tiny_model import TINY


class Stopped(Exception):
    pass


def assert_resume_is_exact(folder, monkeypatch, stop, data, *, overrides, device=None, **options):
    """Train the tiny network without a stop, and with one, and compare the weights and the records.

    The first checkpoint after the epochs and batches of ``stop`` is the last one before the stop; 0 batches are for
    one between two epochs. Options are those of `train_by_recipe`, and ``device`` those of accelerate. Returns what the
    run without a stop returned.
    """
    save = Checkpoints.save

    def go(output, **resume):
        weights = {}
        monkeypatch.setattr(train_module, "save", lambda net, *_, **__: weights.update(net.state_dict()))
        monkeypatch.setattr(train_module, "closing_lines", lambda *_: "")
        result = train_by_recipe(
            TINY, data, recipe="finetune", overrides={"crop_scale": 0.5, "flip": True, **overrides}, output=output,
            save_every=1, progress=False, accelerator=default_accelerator(cpu=True, **device or {}),
            **options, **resume,
        )  # fmt: skip
        return result, weights

    def save_and_stop(self, state, name):
        save(self, state, name)
        reached = state.batch >= stop[1] > 0 or state.batch == stop[1]
        if name.startswith("last") and state.epoch == stop[0] and reached:
            raise Stopped

    whole, expected = go(folder / "whole")
    monkeypatch.setattr(Checkpoints, "save", save_and_stop)
    with pytest.raises(Stopped):
        go(folder / "stopped")
    monkeypatch.setattr(Checkpoints, "save", save)
    torch.manual_seed(99)
    again, weights = go(folder / "stopped", resume=True)
    assert all(torch.equal(weights[name], value) for name, value in expected.items())
    for column in ("train_loss", "val_top1"):
        assert [row[column] for row in again.rows] == [row[column] for row in whole.rows]
    return whole
