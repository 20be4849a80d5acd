"""However a run is set up, one that is stopped and goes on ends with the bits of one that was not."""

import pytest

from tests.images.image_folders import make_splits

from .stopped_run import assert_resume_is_exact

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


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return make_splits(tmp_path_factory.mktemp("images"), 36, 9)


@pytest.mark.parametrize("stop", [(1, 0), (2, 1)], ids=["between epochs", "within one"])
@pytest.mark.parametrize("setup", SETUPS)
def test_stopped_run_ends_with_the_bits_of_a_whole_one(images, tmp_path, monkeypatch, forget_accelerator, setup, stop):
    changes, device, reading = SETUPS[setup]
    overrides = {"epochs": 4, "batch_size": 12, "warmup_epochs": 1.0, **changes}
    assert_resume_is_exact(tmp_path, monkeypatch, stop, images, overrides=overrides, device=device, **reading)
