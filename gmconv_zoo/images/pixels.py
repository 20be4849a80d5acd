"""Read one image with the number of channels that a network takes."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = ["MODES", "UnreadableImageError", "mode_for", "naming_unreadable", "read_image", "to_mode", "unreadable"]

# By the number of channels, the modes of Pillow in which networks take images
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# The longer side of an image over its shorter one; the shorter one is resized to hundreds of pixels.
_MOST_ELONGATED = 1000


class UnreadableImageError(ValueError):
    """An image is damaged, truncated or missing. The message is one line."""


def unreadable(error: Exception) -> UnreadableImageError:
    """Return the error that says in one line why an image cannot be read, from what decoding it raised."""
    if isinstance(error, UnreadableImageError):
        return error
    if isinstance(error, UnidentifiedImageError):
        return UnreadableImageError("not an image")
    said = " ".join(str(error).split())
    if not isinstance(error, (OSError, ValueError)) or not said:
        said = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return UnreadableImageError(said)


@contextmanager
def naming_unreadable(remedy: str = "") -> Iterator[None]:
    """Wrap what reads images in loader processes, which add their traceback to an error, to say it in one line.

    The remedy is a sentence that says what the user can do about an image that cannot be read, where that is an error.
    """
    try:
        yield
    except ValueError as error:
        kind, text = type(error), str(error).strip()
        said = text.splitlines()[-1].rpartition(f"{kind.__name__}: ")[2] if "Original Traceback" in text else text
        if isinstance(error, UnreadableImageError):
            raise UnreadableImageError(f"{said} cannot be read. {remedy}") from None
        if said != text:
            raise ValueError(said) from None
        raise


def mode_for(channels: int) -> str:
    """Return the mode of Pillow in which a network takes images; ValueError for a number of channels that none has."""
    if channels not in MODES:
        raise ValueError(
            f"the network takes images with {channels} channels (in_chans), but images are read with 1 (grey), 3 (RGB) "
            "or 4 (RGBA): choose another network (--model)."
        )
    return MODES[channels]


def to_mode(image: Image.Image, mode: str) -> Image.Image:
    """Return an image in another mode of Pillow's ("L", "RGB" or "RGBA"), with the same metadata.

    For 16-bit images the upper 8 bits are taken, because Pillow's own conversion makes everything above 255 white:
    for all modes "I;16", and for 16-bit PGM files, which Pillow opens in mode "I". Other images in that mode have 32
    bits, which do not say what white is: it is 255 if no value is above it, and otherwise the largest value of 16 bits.
    ValueError for an image of floating-point numbers, whose value for white is unknown.
    """
    if image.mode == "F":
        raise ValueError("it holds floating-point numbers; save it with 8 bits a channel")
    if image.mode.startswith("I"):
        values, info = np.asarray(image), image.info
        of_eight_bits = image.mode == "I" and image.format != "PPM" and values.max() < 256
        image = Image.fromarray((values >> (0 if of_eight_bits else 8)).clip(0, 255).astype(np.uint8))
        image.info = dict(info)
    return image.convert(mode)


def read_image(file: str | Path | IO[Any] | Image.Image | None, mode: str) -> Image.Image:
    """Return an image in a mode of Pillow's ("L", "RGB" or "RGBA"), turned upright as its EXIF data say.

    The file is a path, an open file, or a decoded image; None for an image that is missing in a dataset.

    Raises:
        UnreadableImageError: when it cannot be decoded, whatever Pillow raises, or is too thin to be resized.
    """
    if file is None:
        raise UnreadableImageError("the image is missing in the dataset")
    try:
        if isinstance(file, Image.Image):
            return _upright(file, mode)
        with Image.open(file) as opened:
            return _upright(opened, mode)
    except Exception as error:  # Pillow's formats raise RuntimeError, IndexError, KeyError and others
        raise unreadable(error) from error


def _upright(image: Image.Image, mode: str) -> Image.Image:
    width, height = image.size
    if max(width, height) > _MOST_ELONGATED * min(width, height):
        raise UnreadableImageError(
            f"{width}x{height} pixels: too thin, the longer side is more than {_MOST_ELONGATED} times the shorter one"
        )
    image.load()  # TIFF files are turned upright by Pillow here, which removes the tag
    image = to_mode(image, mode)
    with suppress(Exception):  # damaged EXIF data of a readable image: viewers show it as it is stored
        ImageOps.exif_transpose(image, in_place=True)
    image.info.clear()  # so that nobody turns it again
    return image
