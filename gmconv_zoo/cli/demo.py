"""Finetune a GMConv network on handwritten digits, fuse it, save it, load it back through timm and draw its masks.

Offline; about two minutes on two cores.

Examples:
    gmconv demo
    gmconv demo --model sgmconv_cifar_resnet20 --epochs 5 --output output/static
"""

import argparse
import time

from .common import adder


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of the demo."""
    add = adder(parser)
    add(
        "--model", default="gmconv_cifar_resnet20.gm_cifar10", help="name; without a tag, it starts from random weights"
    )
    add("--output", default="output/demo", help="folder for everything written")
    add("--overwrite", action="store_true", help="replace an earlier demo or network in the folder")
    add("--epochs", type=int, help="epochs (default: the recipe's)")
    add("--images", type=int, help="number of images to use (default: all 1,797)")
    add("--seed", type=int, default=0, help="seed of initial weights, order and augmentation")


def main(args: argparse.Namespace) -> None:
    """Run the demo as the options say."""
    from ..demo.run import DEMO_FILES, run_demo
    from ..saving.targets import check_target

    started = time.perf_counter()
    check_target(args.output, writes=DEMO_FILES, overwrite=args.overwrite)
    run_demo(args.model, args.output, epochs=args.epochs, images=args.images, seed=args.seed, say=print)
    print(f"done in {time.perf_counter() - started:.0f} s")
