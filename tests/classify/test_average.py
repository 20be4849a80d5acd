"""The running average of the weights is one network, whatever part of the images a process has seen."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]


def test_statistics_of_the_average_are_the_same_in_two_processes(tmp_path):
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.classify.average_run", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    assert one["3.running_mean"].any()
    assert all(torch.equal(value, two[key]) for key, value in one.items())
