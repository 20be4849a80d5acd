"""Command-line options of validation: every field of its settings."""

import argparse
from dataclasses import fields

from .validation_settings import PRECISIONS, ValidationSettings

__all__ = ["add_validation_options", "validation_settings"]

_OPTIONS = {
    "batch_size": {"type": int, "help": "images per forward pass of each process (128)"},
    "workers": {"type": int, "help": "loader processes of each process (2)"},
    "precision": {"choices": tuple(PRECISIONS), "help": "automatic mixed precision (float32: none)"},
    "channels_last": {"action": "store_true", "help": "memory format of kernels and images"},
    "compile": {"action": "store_true", "help": "use torch.compile"},
    "fuse": {"action": "store_true", "help": "fold static masks into their kernels first"},
    "retry": {"action": "store_true", "help": "halve the batch when memory does not suffice"},
    "skip_bad": {"action": "store_true", "help": "leave unreadable images out, and count them"},
    "test_input_size": {"action": "store_true", "help": "the model's test size and crop, where it has them"},
    "img_size": {"type": int, "help": "side in pixels, instead of the model's own; likewise the following"},
    "crop_pct": {"type": float},
    "crop_mode": {"choices": ("center", "squash", "border")},
    "interpolation": {"choices": ("bilinear", "bicubic", "nearest")},
    "mean": {"type": float, "nargs": "+"},
    "std": {"type": float, "nargs": "+"},
}


def add_validation_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each field of `ValidationSettings`; what is not given leaves no trace in what is parsed."""
    for name, options in _OPTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", default=argparse.SUPPRESS, **options)  # type: ignore[arg-type]


def validation_settings(args: argparse.Namespace) -> ValidationSettings:
    """The settings that were given on the command line.

    Raises:
        ValueError: for a value that cannot be used.
    """
    names = (field.name for field in fields(ValidationSettings))
    return ValidationSettings(**{name: getattr(args, name) for name in names if hasattr(args, name)})
