"""Finetune a network on a folder of images: one folder per class, with or without "train" and "val" above them.

The output folder holds the best epoch's network, ready for publish.py, and checkpoints, records and pictures. After
an interruption the same command with --resume goes on, to the same weights. Several processes: torchrun, or on GPUs
accelerate launch.

Examples:
    python scripts/finetune.py photos
    python scripts/finetune.py photos --model gmconv_resnet50.from_a1_in1k --epochs 30 --freeze-backbone
"""

import argparse
import logging
import sys

import gmconv_zoo  # noqa: F401  registers the models
from gmconv_zoo.classify.finetune import finetune
from gmconv_zoo.classify.recipe_options import (
    add_recipe_options,
    add_run_options,
    add_split_options,
    recipe_overrides,
)
from gmconv_zoo.classify.train import default_accelerator


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", metavar="DATA", help="folder of images, or torch/ or hfds/NAME")
    parser.add_argument("--data-dir", help="where a named data set lies, or is downloaded to")
    parser.add_argument("--model", default="gmconv_resnet18.from_tv_in1k", help="name, folder or Hub id (%(default)s)")
    parser.add_argument("--output", default="output/finetune", help="folder for everything written (%(default)s)")
    parser.add_argument("--val-share", type=float, default=0.2, help="held out where there is no val (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of split, order and augmentation (%(default)s)")
    add_split_options(parser)
    add_run_options(parser)
    add_recipe_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    passed = ("output", "data_dir", "freeze", "freeze_backbone", "train_split", "val_split", "val_share", "seed")
    passed += ("image_column", "label_column", "resume", "save_every", "skip_bad", "memory_gb")
    options = {name: getattr(args, name) for name in passed}
    try:
        accelerator = default_accelerator(
            mixed_precision=args.precision, compile=args.compile, gradient_accumulation_steps=args.accumulate
        )
        logging.basicConfig(format="%(message)s", level=logging.INFO if accelerator.is_main_process else logging.ERROR)
        logging.getLogger("accelerate").setLevel(logging.WARNING)
        options |= {"overrides": recipe_overrides(args), "accelerator": accelerator, "say": accelerator.print}
        finetune(args.data, args.model, **options)
        accelerator.end_training()
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"finetune.py: {error}")


if __name__ == "__main__":
    main()
