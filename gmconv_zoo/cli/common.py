"""Options that several commands have in the same words, and the names of numbered pictures."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..device import PRECISIONS

# Settings of `add_argument` for one option each.
MODEL: dict[str, Any] = {"metavar": "MODEL", "help": "name, folder or Hub repository"}
IMAGES: dict[str, Any] = {"metavar": "IMAGES", "nargs": "+", "help": "files, folders or patterns"}
WEIGHTS: dict[str, Any] = {"metavar": "FILE", "help": "your own weights for a name of timm's (default: the tag's)"}
DEVICE: dict[str, Any] = {"default": "cpu", "help": 'where to compute, e.g. "cuda"'}
DEVICE_OR_CPU: dict[str, Any] = {"choices": ("auto", "cpu"), "default": "auto", "help": "cpu: do not use GPUs"}
PRECISION: dict[str, Any] = {"choices": tuple(PRECISIONS), "default": "float32", "help": "float32, or mixed precision"}
WORKERS: dict[str, Any] = {"type": int, "metavar": "N", "help": "loader processes (default: one per core, at most 8)"}
SHORTER_SIDE: dict[str, Any] = {"type": int, "metavar": "PIXELS", "help": "shorter side (default: the model's own)"}


def adder(group: Any) -> Callable[..., argparse.Action]:
    """Return the `add_argument` of a parser or of a group of options, with the default at the end of the help."""

    def add(*names: str, **settings: Any) -> argparse.Action:
        if "default" in settings and "(default:" not in settings["help"]:
            settings["help"] += " (default: %(default)s)"
        return group.add_argument(*names, **settings)

    return add


def picture_paths(folder: str | Path, images: Sequence[Path]) -> list[Path]:
    """Return the file of each image's picture, numbered, as images of several folders may have the same name."""
    return [Path(folder, f"{number:03d}-{image.stem}.png") for number, image in enumerate(images, start=1)]
