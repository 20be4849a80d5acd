"""Reading an image in the number of channels a network takes."""

import struct
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

__all__ = ["UNREADABLE", "UnreadableImageError", "mode_for", "read_image", "to_mode"]

# What Pillow raises for a file that is corrupt, truncated, missing or no image.
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)


class UnreadableImageError(ValueError):
    """An image is corrupt, truncated or missing. The message names it."""


_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def mode_for(channels: int) -> str:
    """Pillow's mode with so many channels; "RGB" for a number that no mode has."""
    return _MODES.get(channels, "RGB")


def to_mode(image: Image.Image, mode: str) -> Image.Image:
    """Convert an image, one of 16 bits by its upper 8: Pillow's own conversion cuts all above 255 off to white.

    Args:
        image: in any mode of Pillow's.
        mode: "L", "RGB" or "RGBA".

    Returns:
        The image in that mode.

    Raises:
        ValueError: for an image of floating-point numbers, whose white is unknown.
    """
    if image.mode == "F":
        raise ValueError("it holds floating-point numbers; save it with 8 bits a channel")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        image = Image.fromarray((values >> 8 if values.max() > 255 else values).clip(0, 255).astype(np.uint8))
    return image.convert(mode)


def read_image(file: str | Path | IO[Any] | Image.Image, mode: str) -> Image.Image:
    """Decode an image.

    Args:
        file: a path, an open file, or an image that is decoded already.
        mode: see `to_mode`.

    Raises:
        Exception: one of `UNREADABLE`.
    """
    if isinstance(file, Image.Image):
        return to_mode(file, mode)
    with Image.open(file) as opened:
        return to_mode(opened, mode)
