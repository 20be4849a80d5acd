"""Finetune a network on a folder of images: one folder per class, with or without "train" and "val" above them.

The output folder holds the best epoch's network, ready for publish.py, and checkpoints, records and pictures. After
an interruption the same command with --resume goes on, to the same weights. Several processes: torchrun, or on GPUs
accelerate launch.

Where there are few images and --batch-size is not given, batches are smaller than the default, and so is --lr unless
it is given.

Examples:
    python scripts/finetune.py photos
    python scripts/finetune.py photos --model gmconv_resnet50.from_a1_in1k --epochs 30 --freeze-backbone
"""

import argparse
import logging

from gmconv_zoo.cli.command import make_parser, one_line_errors, run

with one_line_errors():
    from gmconv_zoo.classify.finetune import finetune
    from gmconv_zoo.classify.messages import interruptible
    from gmconv_zoo.classify.recipe_options import (
        add_recipe_options,
        add_run_options,
        add_split_options,
        key_value,
        recipe_overrides,
    )
    from gmconv_zoo.classify.recipes import FINETUNE
    from gmconv_zoo.classify.train import default_accelerator


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("data", metavar="DATA", help="folder of images, or torch/NAME or hfds/NAME")
    add("--data-dir", help="folder that holds a named dataset or receives its download (default: none)")
    add("--model", default="gmconv_resnet18.from_tv_in1k", help="name, folder or Hub repository (default: %(default)s)")
    add("--no-pretrained", action="store_true", help="start a named model from random weights")
    add(
        "--model-options",
        nargs="*",
        type=key_value,
        default=(),
        metavar="KEY=VALUE",
        help="arguments of timm.create_model, e.g. sigma_init=kernel (default: none)",
    )
    add("--image-size", type=int, metavar="PIXELS", help="side of the images (default: the network's own)")
    add("--output", default="output/finetune", help="folder for everything written (default: %(default)s)")
    add("--val-share", type=float, default=0.2, help="validation share where there is no val (default: %(default)s)")
    add_split_options(parser)
    add_run_options(parser)
    add_recipe_options(parser, FINETUNE)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    passed = ("output", "data_dir", "freeze", "freeze_backbone", "train_split", "val_split", "val_share", "seed")
    passed += (
        "image_column",
        "label_column",
        "resume",
        "overwrite",
        "save_every",
        "skip_bad",
        "memory_gb",
        "image_size",
    )
    options = {name: getattr(args, name) for name in passed}
    accelerator = default_accelerator(
        mixed_precision=args.precision, compile=args.compile, gradient_accumulation_steps=args.accumulate
    )
    logging.basicConfig(format="%(message)s", level=logging.INFO if accelerator.is_main_process else logging.ERROR)
    logging.getLogger("accelerate").setLevel(logging.WARNING)
    options |= {"overrides": recipe_overrides(args), "accelerator": accelerator, "say": accelerator.print}
    options["model_options"] = dict(args.model_options)
    with interruptible(args.output):
        finetune(args.data, args.model, pretrained=not args.no_pretrained, **options)
    accelerator.end_training()


if __name__ == "__main__":
    run(main)
