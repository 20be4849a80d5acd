"""Images as a network takes them, from files or as a tensor."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
import torch
from PIL import Image
from timm.data import create_transform
from torch import Tensor, nn

from ..images.data_config import data_config
from ..images.pixels import UnreadableImageError, mode_for, read_image

__all__ = ["ImageFile", "check_several", "evenly", "image_name", "network_input"]

# A path, an open file or a decoded image
ImageFile = str | Path | IO[Any] | Image.Image
Item = TypeVar("Item")


def network_input(model: nn.Module, images: Tensor | Sequence[ImageFile], *, normalize: bool = True) -> Tensor:
    """Return images as a (B, C, H, W) tensor, preprocessed as the network wants them, on its device and in its dtype.

    Args:
        model: a network of timm's interface.
        images: files or decoded images in any mode (grey, palette, RGBA) and of any size, at least one; or a tensor
            (B, C, H, W) that is preprocessed already.
        normalize: whether the dataset's mean and deviation are applied; without it, values are in [0, 1].

    Raises:
        UnreadableImageError: when an image cannot be read; the message names it.
        ValueError: when there is no image, what is passed is not a list of images or a tensor of that shape, or the
            network takes a number of channels that no image has.
    """
    like = next(iter(model.parameters()), torch.empty(0))
    if isinstance(images, Tensor):
        if not (images.ndim == 4 and images.is_floating_point()):
            received = f"{images.dtype} {list(images.shape)}"
            raise ValueError(f"images: expected a float tensor (B, C, H, W), received {received}.")
    else:
        check_several(images)
    if not len(images):
        raise ValueError("images is empty: pass at least one image.")
    if isinstance(images, Tensor):
        return images.to(like)
    config = data_config(model, use_test_size=True)
    transform = create_transform(**config, is_training=False, normalize=normalize)
    mode = mode_for(config["input_size"][0])
    tensors = torch.stack([transform(_read(image, mode)) for image in images])
    return (tensors if normalize else tensors / 255).to(like)


def check_several(images: Any) -> None:
    """Raise `ValueError` for a single image, or an array, in place of a list of images."""
    if isinstance(images, str) or not isinstance(images, Sequence):
        received = repr(str(images)) if isinstance(images, (str, Path)) else f"a {type(images).__name__}"
        raise ValueError(f"images: pass a list of image files or Pillow images, received {received}.")


def image_name(image: ImageFile) -> str:
    """Return the path of an image for messages, or "the image" for one that has none."""
    return str(image if isinstance(image, (str, Path)) else getattr(image, "name", "the image"))


def evenly(items: Sequence[Item], most: int) -> list[Item]:
    """Return at most so many items of a sequence, spread evenly from the first to the last."""
    places = np.linspace(0, len(items) - 1, min(len(items), most)).round().astype(int)
    return [items[place] for place in places.tolist()]


def _read(image: ImageFile, mode: str) -> Image.Image:
    if not (isinstance(image, (str, Path, Image.Image)) or hasattr(image, "read")):
        raise ValueError(
            f"an image is a {type(image).__name__}: pass a path, an open file or a Pillow image; PIL.Image.fromarray "
            "makes one from an array."
        )
    try:
        return read_image(image, mode)
    except UnreadableImageError as error:
        raise UnreadableImageError(f"{image_name(image)} cannot be read: {error}") from error
