"""Finetune a network on a folder of images: one folder per class, with or without "train" and "val" above them.

The output folder holds the best epoch's network, ready for gmconv publish, and checkpoints, records and pictures. After
an interruption, the same command with --resume continues and ends with the same weights. For several processes, use
torchrun, or on GPUs accelerate launch.

If there are few images, batches and learning rate are smaller than the defaults, unless you pass --batch-size or --lr.
With --no-pretrained, the optimizer, learning rate, weight decay and statistics of batch norms have the defaults for
random weights: sgd, 0.05, 0.0005 and --no-freeze-statistics.

Examples:
    gmconv finetune photos
    gmconv finetune photos --model gmconv_resnet50.from_a1_in1k --epochs 30 --freeze-backbone
"""

import argparse

from ..classify.recipes import FINETUNE
from .common import WEIGHTS, adder
from .recipe_options import add_classifier_options, training


def add_options(parser: argparse.ArgumentParser) -> None:
    add = adder(parser)
    add("data", metavar="DATA", help="folder of images, or torch/NAME or hfds/NAME")
    add("--model", default="gmconv_resnet18.from_tv_in1k", help="name, folder or Hub repository")
    add("--weights", **WEIGHTS)
    add("--no-pretrained", action="store_true", help="start a named model from random weights")
    add("--output", default="output/finetune", help="folder for everything written")
    add("--val-share", type=float, default=0.2, help="share of the images for validation, if there is no split for it")
    add_classifier_options(parser, FINETUNE)


def main(args: argparse.Namespace) -> None:
    with training(args, "data", "model", "weights", "no_pretrained") as options:
        from ..classify.train import finetune
        from ..saving.named import with_weights

        if args.weights is not None:
            options["model_options"] |= with_weights(args.model, args.weights)
        finetune(args.data, args.model, pretrained=not args.no_pretrained, **options)
