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

from gmconv_zoo.cli.command import make_parser, one_line_errors, run

with one_line_errors():
    from gmconv_zoo.classify.messages import interruptible
    from gmconv_zoo.classify.recipe_options import (
        add_recipe_options,
        add_run_options,
        add_split_options,
        add_stream_options,
        key_value,
        recipe_overrides,
        stream_options,
    )
    from gmconv_zoo.classify.recipes import PAPER_RECIPES
    from gmconv_zoo.classify.train import default_accelerator
    from gmconv_zoo.classify.train_run import train_by_recipe


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("model", metavar="MODEL", help="a name that timm knows")
    add("data", metavar="DATA", help="folder of images, or torch/NAME, hfds/NAME, wds/NAME or hfids/NAME")
    add("--data-dir", help="folder that holds a named dataset or receives its download (default: none)")
    add("--dataset", help='name of the validation set in records, e.g. "CIFAR-10 test" (default: DATA\'s)')
    add("--output", default="output/train", help="folder for everything written (default: %(default)s)")
    add("--recipe", help=f"recipe to use: {', '.join(PAPER_RECIPES)} or finetune (default: MODEL's own)")
    add(
        "--model-options",
        nargs="*",
        type=key_value,
        default=(),
        metavar="KEY=VALUE",
        help="arguments of timm.create_model (default: none)",
    )
    add_split_options(parser)
    add_run_options(parser)
    add("--val-every", type=int, default=1, metavar="N", help="evaluate after so many epochs (default: %(default)s)")
    add_stream_options(parser)
    add_recipe_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    passed = ("output", "recipe", "data_dir", "dataset", "seed", "resume", "overwrite", "save_every", "skip_bad")
    passed += ("memory_gb", "freeze", "freeze_backbone", "val_every")
    options = {name: getattr(args, name) for name in passed}
    options |= {"model_options": dict(args.model_options), "overrides": recipe_overrides(args)}
    accelerator = default_accelerator(
        mixed_precision=args.precision, compile=args.compile, gradient_accumulation_steps=args.accumulate
    )
    logging.basicConfig(format="%(message)s", level=logging.INFO if accelerator.is_main_process else logging.ERROR)
    logging.getLogger("accelerate").setLevel(logging.WARNING)
    options |= {"stream": stream_options(args), "accelerator": accelerator, "say": accelerator.print}
    with interruptible(args.output):
        train_by_recipe(args.model, args.data, **options)
    accelerator.end_training()


if __name__ == "__main__":
    run(main)
