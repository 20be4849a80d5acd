"""A run to be started as one process or by torchrun as several: two_processes.py FOLDER PARTS."""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from gmconv_zoo.classify.recipes import FINETUNE_RANDOM
from gmconv_zoo.data.tensors import TensorImages, tensor_loader
from gmconv_zoo.engine.fit import default_accelerator
from tests.engine.nets import tiny_net, train


def images(count, **options):
    generator = torch.Generator().manual_seed(count)
    labels = torch.arange(count) % 3
    pixels = torch.randint(60, (count, 3, 8, 8), generator=generator) + 90 * labels.view(-1, 1, 1, 1)
    return TensorImages(pixels.to(torch.uint8), labels, mean=(0.5,) * 3, std=(0.25,) * 3, **options)


def write(net, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, path)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    accelerator = default_accelerator(cpu=True, gradient_accumulation_steps=int(sys.argv[2]))
    net = tiny_net()
    net[3] = nn.GroupNorm(2, 4)  # batch norm takes its statistics from each process's own part of a batch
    if accelerator.is_main_process:
        write(net, folder / "start.safetensors")
    recipe = FINETUNE_RANDOM.override(epochs=4, batch_size=8, class_weights=True)
    loader = tensor_loader(images(45, crop_padding=1, flip=True), 8 // int(sys.argv[2]), shuffle=True)
    weights = torch.tensor([0.5, 1.0, 1.5])
    options = {"output": folder, "accelerator": accelerator, "checkpoints": True, "overwrite": True, "save_every": 2}
    train(net, loader, tensor_loader(images(37), 10), recipe, class_weights=weights, progress=False, **options)
    if accelerator.is_main_process:
        write(net, folder / "final.safetensors")
