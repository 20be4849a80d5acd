"""A worker that is killed under torchrun ends the run, says so and leaves what to go on from."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.images.image_folders import make_splits
from tests.launch import ENV, ROOT, command

OPTIONS = ["--epochs", "3", "--batch-size", "4", "--save-every", "3"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the worker in /proc"),
]


def start(*options):
    program = command(2, "scripts/train.py", "sgmconv_cifar_resnet20", *options)
    return subprocess.Popen(program, cwd=ROOT, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def worker(launcher, rank):
    """The process id of a launcher's worker."""
    for task in Path(f"/proc/{launcher}/task").iterdir():
        for child in (task / "children").read_text().split():
            if f"\0LOCAL_RANK={rank}\0" in Path(f"/proc/{child}/environ").read_text():
                return int(child)
    raise AssertionError(f"no worker of rank {rank}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder of images, and that of a run on it that nobody disturbed."""
    root = tmp_path_factory.mktemp("whole")
    make_splits(root / "images", 48)
    run = start(root / "images", "--output", root / "out", *OPTIONS)
    _, err = run.communicate(timeout=250)
    assert run.returncode == 0, err[-3000:]
    return root / "images", root / "out"


@pytest.mark.parametrize("rank", [0, 1])
def test_killed_worker_ends_the_run_and_leaves_a_checkpoint_to_finish_from(whole, tmp_path, rank):
    images, undisturbed = whole
    last = tmp_path / "checkpoints" / "last.safetensors"
    run = start(images, "--output", tmp_path, *OPTIONS)
    deadline = time.monotonic() + 200
    while not last.exists():
        assert run.poll() is None, run.communicate()[1][-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(worker(run.pid, rank), 9)
    _, err = run.communicate(timeout=60)
    assert run.returncode != 0
    assert "Signal 9 (SIGKILL)" in err
    assert not (tmp_path / "results.json").exists()

    again = start(images, "--output", tmp_path, *OPTIONS, "--resume")
    _, err = again.communicate(timeout=250)
    assert again.returncode == 0, err[-3000:]
    assert json.loads((tmp_path / "results.json").read_text())["epoch"] == 3
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (tmp_path, undisturbed))
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())
