"""Two processes that train with a running average of the weights: python -m tests.classify.average_run FOLDER."""

import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from gmconv_zoo.classify.recipes import FINETUNE_RANDOM
from gmconv_zoo.data.tensors import tensor_loader
from gmconv_zoo.engine.fit import default_accelerator
from tests.classify.two_processes import images
from tests.engine.nets import tiny_net, train


def run(rank: int, folder: str) -> None:
    """Train as one of two processes, and write the network that it ends with."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2")
    os.environ.update(ACCELERATE_USE_CPU="1", MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    net, recipe = tiny_net(), FINETUNE_RANDOM.override(epochs=2, batch_size=8, ema_decay=0.5, warmup_epochs=0)
    loaders = tensor_loader(images(24), 8, shuffle=True), tensor_loader(images(9), 4)
    train(net, *loaders, recipe, accelerator=default_accelerator(cpu=True), progress=False)
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, f"{folder}/{rank}.safetensors")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":  # forked before anything is computed: threads would not survive it
    folder = Path(sys.argv[1])
    torch.multiprocessing.start_processes(run, (str(folder),), nprocs=2, start_method="fork")
