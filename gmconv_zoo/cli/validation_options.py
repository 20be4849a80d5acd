"""Command-line options of validation: every field of its settings."""

import argparse
from dataclasses import fields
from typing import Any

from ..classify.validation_settings import PRECISIONS, ValidationSettings

__all__ = ["add_validation_options", "validation_settings"]

_OPTIONS: dict[str, dict[str, Any]] = {
    "batch_size": {"type": int, "help": "images per forward pass of each process"},
    "workers": {"type": int, "help": "loader processes of each process"},
    "precision": {"choices": tuple(PRECISIONS), "help": "automatic mixed precision, or float32 for none"},
    "channels_last": {"action": "store_true", "help": "memory format of kernels and images"},
    "compile": {"action": "store_true", "help": "use torch.compile"},
    "fuse": {"action": "store_true", "help": "fold static masks into their kernels first"},
    "retry": {"action": "store_true", "help": "halve the batch size when memory does not suffice"},
    "skip_bad": {"action": "store_true", "help": "leave unreadable images out, and count them"},
    "test_input_size": {"action": "store_true", "help": "use the model's test size and crop, where it has them"},
    "image_size": {"type": int, "help": "side of the images in pixels"},
    "crop_pct": {"type": float, "help": "share of the side that the central crop keeps"},
    "crop_mode": {"choices": ("center", "squash", "border"), "help": "how the crop is taken"},
    "interpolation": {"choices": ("bilinear", "bicubic", "nearest"), "help": "how images are resized"},
    "mean": {"type": float, "nargs": "+", "help": "mean of each channel, for images in [0, 1]"},
    "std": {"type": float, "nargs": "+", "help": "standard deviation of each channel"},
}
# Those options that say how images are read and prepared.
_IMAGES = list(_OPTIONS)[list(_OPTIONS).index("skip_bad") :]


def add_validation_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each field of `ValidationSettings`; what is not given leaves no trace in what is parsed."""
    defaults = {field.name: field.default for field in fields(ValidationSettings)}
    computing = parser.add_argument_group("device and speed").add_argument
    preprocessing = parser.add_argument_group("images").add_argument
    for name, options in _OPTIONS.items():
        if options.get("action") is None:
            shown = "the model's own" if defaults[name] is None else defaults[name]
            options = {**options, "help": f"{options['help']} (default: {shown})"}
        add = preprocessing if name in _IMAGES else computing
        add(f"--{name.replace('_', '-')}", default=argparse.SUPPRESS, **options)


def validation_settings(args: argparse.Namespace) -> ValidationSettings:
    """The settings that were given on the command line.

    Raises:
        ValueError: for a value that cannot be used.
    """
    names = (field.name for field in fields(ValidationSettings))
    return ValidationSettings(**{name: getattr(args, name) for name in names if hasattr(args, name)})
