"""A run to be started as one process or by torchrun as several: two_processes.py FOLDER PARTS."""

import sys
from pathlib import Path

import torch
from torch import nn

from gmconv_zoo.classify.recipes import FINETUNE_RANDOM
from gmconv_zoo.engine.fit import default_accelerator
from tests.engine.nets import tensor_loaders, tiny_net, train, write_weights

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    accelerator = default_accelerator(cpu=True, gradient_accumulation_steps=int(sys.argv[2]))
    net = tiny_net()
    net[3] = nn.GroupNorm(2, 4)  # batch norm takes its statistics from each process's own part of a batch
    if accelerator.is_main_process:
        write_weights(net, folder / "start.safetensors")
    recipe = FINETUNE_RANDOM.override(epochs=4, batch_size=8, class_weights=True)
    parts = int(sys.argv[2])
    loaders = tensor_loaders(45, 37, batch_size=8 // parts, crop_padding=1, flip=True)
    labels = torch.tensor([0] * 6 + [1] * 3 + [2] * 2)  # the classes' weights are 0.6, 1.2 and 1.8
    options = {"output": folder, "accelerator": accelerator, "checkpoints": True, "overwrite": True, "save_every": 2}
    train(net, *loaders, recipe, train_labels=labels, progress=False, **options)
    if accelerator.is_main_process:
        write_weights(net, folder / "final.safetensors")
