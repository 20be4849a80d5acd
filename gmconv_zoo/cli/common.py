"""Options that several commands have in the same words, and the names of numbered pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..engine.precision import PRECISIONS

__all__ = [
    "DEVICE",
    "DEVICE_OR_CPU",
    "IMAGES",
    "MODEL",
    "PRECISION",
    "SHORTER_SIDE",
    "WEIGHTS",
    "WORKERS",
    "picture_paths",
]

# Settings of `add_argument` for one option each.
MODEL: dict[str, Any] = {"metavar": "MODEL", "help": "name, folder or Hub repository"}
IMAGES: dict[str, Any] = {"metavar": "IMAGES", "nargs": "+", "help": "files, folders or patterns"}
WEIGHTS: dict[str, Any] = {
    "metavar": "FILE",
    "help": "weights of your own for a name that timm knows (default: the tag's)",
}
DEVICE: dict[str, Any] = {"default": "cpu", "help": 'where to compute, e.g. "cuda" (default: %(default)s)'}
DEVICE_OR_CPU: dict[str, Any] = {
    "choices": ("auto", "cpu"),
    "default": "auto",
    "help": "cpu: do not use GPUs (default: %(default)s)",
}
PRECISION: dict[str, Any] = {
    "default": "float32",
    "choices": tuple(PRECISIONS),
    "help": "automatic mixed precision, or float32 for none (default: %(default)s)",
}
WORKERS: dict[str, Any] = {
    "type": int,
    "metavar": "N",
    "help": "loader processes of each process (default: one per core, at most 8)",
}
SHORTER_SIDE: dict[str, Any] = {
    "type": int,
    "metavar": "PIXELS",
    "help": "shorter side of the images (default: the model's own)",
}


def picture_paths(folder: str | Path, images: Sequence[Path]) -> list[Path]:
    """Return the file of each image's picture, numbered, as images of several folders may have the same name."""
    return [Path(folder, f"{number:03d}-{image.stem}.png") for number, image in enumerate(images, start=1)]
