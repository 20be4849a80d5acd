"""The running average of the weights is one network, whatever part of the images a process has seen."""

import torch
from safetensors.torch import load_file

from tests import launch


def test_statistics_of_the_average_are_the_same_in_two_processes(tmp_path):
    launch.run(1, "-m", "tests.classify.average_run", tmp_path)
    one, two = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    assert one["3.running_mean"].any()
    assert all(torch.equal(value, two[key]) for key, value in one.items())
