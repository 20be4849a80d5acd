"""Train a network by the paper's recipe, any field of which can be changed here.

DATA is a folder with "train" and "val", or a dataset by timm's name. After an interruption, the same command with
--resume continues and ends with the same weights. For several processes, use torchrun, or on GPUs accelerate launch.

Examples:
    gmconv train gmconv_cifar_resnet20 torch/cifar10 --data-dir data --output output/cifar
    gmconv train gmconv_resnet18 imagenet --epochs 30 --sigma-weight-decay 0 --resume
    torchrun --nproc-per-node 2 scripts/train.py gmconv_resnet50 wds/imagenet --data-dir shards --classes 1000 \\
        --train-split 'train-{0000..1023}.tar|1281167' --val-split 'val-{00..63}.tar|50000'
"""

import argparse

from ..classify.recipes import PAPER_RECIPES
from .common import adder
from .recipe_options import add_classifier_options, training


def add_options(parser: argparse.ArgumentParser) -> None:
    add = adder(parser)
    add("model", metavar="MODEL", help="a name that timm knows")
    add("data", metavar="DATA", help="folder of images, or torch/NAME, hfds/NAME, wds/NAME or hfids/NAME")
    add("--dataset", help='name of the validation set in records, e.g. "CIFAR-10 test" (default: DATA\'s)')
    add("--output", default="output/train", help="folder for everything written")
    add("--recipe", help=f"recipe to use: {', '.join(PAPER_RECIPES)} or finetune (default: MODEL's own)")
    add("--val-every", type=int, default=1, metavar="N", help="evaluate after every N epochs")
    add_classifier_options(parser)
    description = "values that wds/NAME or hfids/NAME may not contain; default: what it contains"
    add = parser.add_argument_group("streams", description).add_argument
    add("--train-count", type=int, metavar="N", help="training images")
    add("--val-count", type=int, metavar="N", help="validation images")
    add("--classes", metavar="N|FILE", help="number of classes, or a file with a name per line")


def main(args: argparse.Namespace) -> None:
    with training(args, "model", "data") as options:
        from ..classify.train import train_by_recipe

        train_by_recipe(args.model, args.data, **options)
