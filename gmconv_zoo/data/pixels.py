"""Images in the number of channels a network takes."""

import numpy as np
from PIL import Image

__all__ = ["mode_for", "to_mode"]

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
