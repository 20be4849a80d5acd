"""Read one image with the number of channels that a network takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

__all__ = ["UnreadableImageError", "mode_for", "naming_unreadable", "read_image", "to_mode", "unreadable"]

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# The operations that turn an image upright, by its EXIF orientation (TIFF and EXIF specifications, tag 274)
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnreadableImageError(ValueError):
    """An image is damaged, truncated or missing. The message is one line."""


def unreadable(error: Exception) -> UnreadableImageError:
    """Return the error that says in one line why an image cannot be read.

    Args:
        error: what was raised while it was decoded.
    """
    if isinstance(error, UnreadableImageError):
        return error
    if isinstance(error, UnidentifiedImageError):
        return UnreadableImageError("not an image")
    said = " ".join(str(error).split())
    if not isinstance(error, (OSError, ValueError)) or not said:
        said = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return UnreadableImageError(said)


@contextmanager
def naming_unreadable(remedy: str) -> Iterator[None]:
    """Wrap a training, whose loaders' processes add their traceback to the error of an image.

    Args:
        remedy: sentence that says what the user can do about an image that cannot be read.

    Raises:
        UnreadableImageError: in place of the same error, in one line.
        ValueError: in place of another one that a loader's process raised, in one line.
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
    """Return Pillow's mode with so many channels, or "RGB" where no mode has that number."""
    return _MODES.get(channels, "RGB")


def to_mode(image: Image.Image, mode: str) -> Image.Image:
    """Convert an image to another mode of Pillow's.

    For 16-bit images the upper 8 bits are taken, because Pillow's own conversion makes everything above 255 white. The
    mode of the image decides this, never its content: all modes "I;16", and "I", in which Pillow opens 16-bit PGM
    files.

    Args:
        image: in any mode.
        mode: "L", "RGB" or "RGBA".

    Returns:
        A new image in that mode.

    Raises:
        ValueError: for an image of floating-point numbers, whose value for white is unknown.
    """
    if image.mode == "F":
        raise ValueError("it holds floating-point numbers; save it with 8 bits a channel")
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    return image.convert(mode)


def read_image(file: str | Path | IO[Any] | Image.Image | None, mode: str) -> Image.Image:
    """Decode an image and turn it upright, as its EXIF orientation says.

    Args:
        file: a path, an open file, or a decoded image; None for an image that is missing in a dataset.
        mode: "L", "RGB" or "RGBA", see `to_mode`.

    Returns:
        The image in that mode, without EXIF data.

    Raises:
        UnreadableImageError: when it cannot be decoded, whatever Pillow raises.
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
    image.load()  # TIFF files are turned upright by Pillow here, which removes the tag
    turn = _UPRIGHT.get(_orientation(image))
    image = to_mode(image, mode)
    image = image if turn is None else image.transpose(turn)
    image.info.clear()  # so that nobody turns it again
    return image


def _orientation(image: Image.Image) -> Any:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged EXIF data of a readable image: viewers show it as it is stored
        return None
