"""A linear model of ImageNet's 1,000 classes that reads the class off a 4x4 image, and images for it.

A class is written in ten bits, one pixel each, white for 1. The weights 2^k make all scores of an image different: an
image whose lowest bit is wrong has the right class second, one whose bits are all wrong has it last.
"""

import io

import torch
from PIL import Image
from timm.models import register_model
from torch import Tensor, nn

__all__ = ["NAME", "Hungry", "fixture_linear", "image_bytes"]

NAME = "fixture_linear.bits"
_BITS = 10


class _Linear(nn.Module):
    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.num_classes = classes
        self.pretrained_cfg = {
            "input_size": (3, 4, 4), "num_classes": classes, "crop_pct": 1.0, "interpolation": "nearest",
            "mean": (0.5,) * 3, "std": (0.5,) * 3,
        }  # fmt: skip
        self.fc = nn.Linear(48, classes, bias=False)
        bits = _signs(torch.arange(classes)) * 2.0 ** torch.arange(_BITS)
        weight = torch.zeros(classes, 3, 16)
        weight[:, 0, :_BITS] = bits
        self.fc.weight.data = weight.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(1))


@register_model
def fixture_linear(pretrained: bool = False, **kwargs) -> nn.Module:
    return _Linear()


class Hungry(nn.Module):
    """A network with memory for so many images only."""

    def __init__(self, model: nn.Module, images: int) -> None:
        super().__init__()
        self.model, self.images = model, images
        self.num_classes, self.pretrained_cfg = model.num_classes, model.pretrained_cfg

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.images:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.model(x)


def image_bytes(label: int, kind: str = "right") -> bytes:
    """An image file of a class; of kind "right", "second" or "last" by the rank of its class."""
    code = {"right": label, "second": label ^ 1, "last": ~label & (2**_BITS - 1)}[kind]
    pixels = torch.zeros(16, dtype=torch.uint8)
    pixels[:_BITS] = (_signs(torch.tensor([code]))[0] > 0).byte() * 255
    file = io.BytesIO()
    Image.fromarray(pixels.reshape(4, 4).numpy()).save(file, "PNG")
    return file.getvalue()


def _signs(codes: Tensor) -> Tensor:
    return 2 * (codes.unsqueeze(1) >> torch.arange(_BITS) & 1) - 1
