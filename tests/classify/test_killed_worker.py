"""A worker that is killed under torchrun ends the run, says so and leaves what to go on from."""

import os
import subprocess
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests import launch
from tests.images.image_folders import make_splits

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the worker in /proc"),
]


def worker(launcher, rank):
    """The process id of a launcher's worker."""
    for task in Path(f"/proc/{launcher}/task").iterdir():
        for child in (task / "children").read_text().split():
            if f"\0LOCAL_RANK={rank}\0" in Path(f"/proc/{child}/environ").read_text():
                return int(child)
    raise AssertionError(f"no worker of rank {rank}")


def test_killed_worker_ends_the_run_and_leaves_a_checkpoint_to_finish_from(tmp_path):
    make_splits(tmp_path / "images", 48)
    script = ["scripts/train.py", "sgmconv_cifar_resnet20", tmp_path / "images"]
    script += ["--epochs", "3", "--batch-size", "4", "--save-every", "3", "--output"]
    launch.run(2, *script, tmp_path / "undisturbed")
    for rank in (0, 1):
        out = tmp_path / str(rank)
        program = launch.command(2, *script, out)
        run = subprocess.Popen(program, cwd=launch.ROOT, env=launch.ENV, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 200
        while not (out / "checkpoints" / "last.safetensors").exists():
            assert run.poll() is None, run.communicate()[1][-3000:]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(worker(run.pid, rank), 9)
        _, err = run.communicate(timeout=60)
        assert run.returncode != 0
        assert "Signal 9 (SIGKILL)" in err
        assert not (out / "results.json").exists()
        launch.run(2, *script, out, "--resume")
        ours, theirs = (load_file(folder / "model.safetensors") for folder in (out, tmp_path / "undisturbed"))
        assert all(torch.equal(ours[name], value) for name, value in theirs.items())
