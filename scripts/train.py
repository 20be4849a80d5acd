"""Train a network by the paper's recipe, any field of which can be changed here.

DATA is a folder with "train" and "val", or a data set by timm's name. After an interruption the same command with
--resume goes on, to the same weights. Several processes: torchrun, or on GPUs accelerate launch.

Examples:
    python scripts/train.py gmconv_cifar_resnet20 torch/cifar10 --data-dir data --output output/cifar
    python scripts/train.py gmconv_resnet18 imagenet --epochs 30 --sigma-weight-decay 0 --resume
    torchrun --nproc-per-node 2 scripts/train.py gmconv_resnet50 wds/imagenet --data-dir shards --classes 1000 \\
        --train-split 'train-{0000..1023}.tar|1281167' --val-split 'val-{00..63}.tar|50000'
"""

import argparse
import logging
import sys

import gmconv_zoo  # noqa: F401  registers the models
from gmconv_zoo.classify.recipe_options import (
    add_recipe_options,
    add_run_options,
    add_split_options,
    add_stream_options,
    key_value,
    recipe_overrides,
    stream_options,
)
from gmconv_zoo.classify.train import default_accelerator
from gmconv_zoo.classify.train_run import train_by_recipe


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", help="a name timm knows")
    parser.add_argument("data", metavar="DATA", help="folder of images, or torch/, hfds/, wds/ or hfids/NAME")
    parser.add_argument("--data-dir", help="where a named data set lies, or is downloaded to")
    parser.add_argument("--dataset", help='what records call the held-out images, e.g. "CIFAR-10 test"')
    parser.add_argument("--output", default="output/train", help="folder for everything written (%(default)s)")
    parser.add_argument("--recipe", help='network whose recipe is used, or "finetune" (MODEL\'s own)')
    parser.add_argument("--model-options", nargs="*", type=key_value, default=(), metavar="KEY=VALUE")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation (%(default)s)")
    add_split_options(parser)
    add_run_options(parser)
    add_stream_options(parser)
    add_recipe_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    passed = ("output", "recipe", "data_dir", "dataset", "seed", "resume", "overwrite", "save_every", "skip_bad")
    passed += ("memory_gb", "freeze", "freeze_backbone")
    options = {name: getattr(args, name) for name in passed}
    options |= {"model_options": dict(args.model_options), "overrides": recipe_overrides(args)}
    try:
        accelerator = default_accelerator(
            mixed_precision=args.precision, compile=args.compile, gradient_accumulation_steps=args.accumulate
        )
        logging.basicConfig(format="%(message)s", level=logging.INFO if accelerator.is_main_process else logging.ERROR)
        logging.getLogger("accelerate").setLevel(logging.WARNING)
        options |= {"stream": stream_options(args), "accelerator": accelerator, "say": accelerator.print}
        train_by_recipe(args.model, args.data, **options)
        accelerator.end_training()
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"train.py: {error}")


if __name__ == "__main__":
    main()
