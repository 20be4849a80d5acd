"""The running average of the weights is one network, whatever part of the images a process has seen."""

import os
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from gmconv_zoo.classify.recipes import FINETUNE_RANDOM
from gmconv_zoo.engine.fit import default_accelerator
from tests import launch
from tests.engine.nets import tensor_loaders, tiny_net, train, write_weights


def run(rank: int, folder: str) -> None:
    """Train as one of two processes, and write the network that it ends with."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2")
    os.environ.update(ACCELERATE_USE_CPU="1", MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    net, recipe = tiny_net(), FINETUNE_RANDOM.override(epochs=2, batch_size=8, ema_decay=0.5, warmup_epochs=0)
    train(net, *tensor_loaders(24, 9), recipe, accelerator=default_accelerator(cpu=True))
    write_weights(net, Path(folder, f"{rank}.safetensors"))
    torch.distributed.destroy_process_group()


def test_statistics_of_the_average_are_the_same_in_two_processes(tmp_path):
    launch.run(1, "-m", "tests.classify.test_average", tmp_path)
    one, two = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    assert one["3.running_mean"].any()
    assert all(torch.equal(value, two[key]) for key, value in one.items())


if __name__ == "__main__":  # forked before anything is computed: threads would not survive it
    torch.multiprocessing.start_processes(run, (sys.argv[1],), nprocs=2, start_method="fork")
