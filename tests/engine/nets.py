"""Networks and loaders small enough that a training test takes a moment."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from gmconv_zoo.classify.loading import Loaders
from gmconv_zoo.classify.recipes import FINETUNE_RANDOM
from gmconv_zoo.classify.task import fit_classifier
from gmconv_zoo.data.tensors import TensorImages, tensor_loader
from gmconv_zoo.engine.fit import FitOptions
from gmconv_zoo.layers import DGMConv2d, SGMConv2d

SHORT = FINETUNE_RANDOM.override(epochs=2, batch_size=8, warmup_epochs=0.5)


def tiny_net(classes: int = 3) -> nn.Module:
    """A dynamic stem, a static layer with a norm, and a classifier, for 8x8 RGB images."""
    torch.manual_seed(0)
    return nn.Sequential(
        DGMConv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        SGMConv2d(4, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, classes),
    )


class OfLists(nn.Sequential):
    """Takes a list of images, as detectors do."""

    def forward(self, images: list[torch.Tensor]) -> torch.Tensor:
        return super().forward(torch.stack(images))


def tiny_loader(count: int = 24, batch_size: int = 8) -> DataLoader:
    """Random images, each class with a brightness of its own so that it can be learned."""
    labels = torch.arange(count) % 3
    images = torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0)) + labels.view(-1, 1, 1, 1)
    return DataLoader(TensorDataset(images, labels), batch_size)


def tensor_loaders(
    count: int = 21, val: int | None = None, *, batch_size: int = 8, **augmentation
) -> tuple[DataLoader, DataLoader]:
    """Loaders for training and validation with so many images, each class of a brightness of its own, in memory."""

    def images(count: int, **options) -> TensorImages:
        labels = torch.arange(count) % 3
        noise = torch.randint(60, (count, 3, 8, 8), generator=torch.Generator().manual_seed(0))
        pixels = (noise + 90 * labels.view(-1, 1, 1, 1)).to(torch.uint8)
        return TensorImages(pixels, labels, mean=(0.5,) * 3, std=(0.25,) * 3, **options)

    train_loader = tensor_loader(images(count, **augmentation), batch_size, shuffle=True)
    return train_loader, tensor_loader(images(val or count), 16)


def write_weights(net: nn.Module, path: Path) -> None:
    """Write a network's state dict, and its folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, path)


_OF_LOADERS, _RUN = ("train_labels", "callbacks"), ("accelerator", "run", "identity")


def train(net, train_loader, val_loader, recipe, **options):
    """`fit_classifier` without a progress bar; options that are not its own are those of `FitOptions`."""
    of_loaders, own = ({name: options.pop(name) for name in names if name in options} for names in (_OF_LOADERS, _RUN))
    loaders = Loaders(train_loader, val_loader, **of_loaders)
    return fit_classifier(net, loaders, recipe, FitOptions(**{"progress": False, **options}), **own)
