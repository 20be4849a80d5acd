"""What the commands that train share: the accelerator, log lines, and an interrupt that says what is saved."""

import argparse
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .recipe_options import recipe_overrides

__all__ = ["training"]

_PASSED = [
    "output",
    "data_dir",
    "seed",
    "resume",
    "overwrite",
    "save_every",
    "skip_bad",
    "memory_gb",
    "freeze",
    "freeze_backbone",
]


@contextmanager
def training(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Wrap a training, which is given the arguments that finetuning and training by a recipe share.

    Args:
        args: the options of `add_data_options`, `add_run_options` and `add_recipe_options`, and the output folder.
    """
    from ..classify.messages import interruptible
    from ..classify.train import default_accelerator

    accelerator = default_accelerator(
        mixed_precision=args.precision, compile=args.compile, gradient_accumulation_steps=args.accumulate
    )
    logging.basicConfig(format="%(message)s", level=logging.INFO if accelerator.is_main_process else logging.ERROR)
    logging.getLogger("accelerate").setLevel(logging.WARNING)
    with interruptible(args.output):
        shared = {name: getattr(args, name) for name in _PASSED}
        yield {**shared, "overrides": recipe_overrides(args), "accelerator": accelerator, "say": accelerator.print}
    accelerator.end_training()
