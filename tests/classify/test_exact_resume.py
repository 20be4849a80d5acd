"""However a run is set up, one that is stopped and goes on ends with the bits of one that was not."""

import pytest
import torch
from accelerate.state import AcceleratorState

from gmconv_zoo.classify import train as train_module
from gmconv_zoo.classify.train import train_by_recipe
from gmconv_zoo.engine.checkpoint import Checkpoints
from gmconv_zoo.engine.fit import default_accelerator
from tests.images.image_folders import make_folder

from .tiny_model import TINY

SETUPS = {
    "mixup, cutmix and an average": ({"mixup": 0.4, "cutmix": 1.0, "ema_decay": 0.9}, {}, {}),
    "accumulated": ({"clip_grad": 1.0}, {"gradient_accumulation_steps": 2}, {}),
    "bfloat16": ({}, {"mixed_precision": "bf16"}, {}),
    "files read by loader processes": ({}, {}, {"memory_gb": 0.0}),
    "all of it": (
        {"mixup": 0.4, "ema_decay": 0.9, "class_weights": False, "layer_decay": 0.9},
        {"gradient_accumulation_steps": 2, "mixed_precision": "bf16"},
        {"memory_gb": 0.0},
    ),
}


class Stopped(Exception):
    pass


@pytest.fixture(autouse=True)
def accelerators_of_other_precision():
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    make_folder(root / "train", 36)
    make_folder(root / "val", 9)
    return root


@pytest.mark.parametrize("stop", [(1, 0), (2, None)], ids=["between epochs", "within one"])
@pytest.mark.parametrize("setup", SETUPS)
def test_stopped_run_ends_with_the_bits_of_a_whole_one(images, tmp_path, monkeypatch, setup, stop):
    changes, device, reading = SETUPS[setup]
    save = Checkpoints.save

    def go(output, **options):
        weights = {}
        monkeypatch.setattr(train_module, "save", lambda net, *_, **__: weights.update(net.state_dict()))
        monkeypatch.setattr(train_module, "_closing_lines", str)
        overrides = {"epochs": 4, "batch_size": 12, "crop_scale": 0.5, "flip": True, "warmup_epochs": 1.0, **changes}
        result = train_by_recipe(
            TINY, images, recipe="finetune", overrides=overrides, output=output, save_every=1, progress=False,
            accelerator=default_accelerator(cpu=True, **device), **reading, **options,
        )  # fmt: skip
        return result.rows, weights

    def save_and_stop(self, state, name):
        save(self, state, name)
        if name.startswith("last") and state.epoch == stop[0] and (state.batch == 0) == (stop[1] == 0):
            raise Stopped

    rows, expected = go(tmp_path / "whole")
    monkeypatch.setattr(Checkpoints, "save", save_and_stop)
    with pytest.raises(Stopped):
        go(tmp_path / "stopped")
    monkeypatch.setattr(Checkpoints, "save", save)
    torch.manual_seed(99)
    again, weights = go(tmp_path / "stopped", resume=True)
    assert all(torch.equal(weights[name], value) for name, value in expected.items())
    assert [row["train_loss"] for row in again] == [row["train_loss"] for row in rows]
    assert [row["val_top1"] for row in again] == [row["val_top1"] for row in rows]
