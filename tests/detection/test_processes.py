"""Several processes train to the same weights as one, and evaluate to the same average precision."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import gmconv_zoo

from .runs import landscape_only, shapes

ROOT = Path(__file__).parents[2]
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}


def launch(processes, *command):
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run(
        [sys.executable, *(torchrun if processes > 1 else []), *map(str, command)],
        cwd=ROOT, env=ENV, capture_output=True, text=True, timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_two_processes_equal_one_with_the_same_global_batch(tmp_path):
    data = shapes(tmp_path / "data", images=14, val=6)
    for split in ("train", "val"):
        landscape_only(data / "annotations" / f"instances_{split}.json")
    script = ROOT / "tests" / "detection" / "two_processes.py"
    for processes, parts in ((1, 1), (2, 1), (2, 2)):
        launch(processes, script, tmp_path / f"{processes}-{parts}", parts)
    one = load_file(tmp_path / "1-1" / "checkpoints" / "last.safetensors")
    for name in ("2-1", "2-2"):
        other = load_file(tmp_path / name / "checkpoints" / "last.safetensors")
        weights = [key for key in one if key.startswith("model/")]
        assert weights
        for key in weights:
            torch.testing.assert_close(other[key], one[key], rtol=1e-4, atol=1e-5, msg=key)
    ...
