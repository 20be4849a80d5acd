"""Finetune a GMConv network on handwritten digits, load it back through timm, fuse it and draw its masks.

Offline; about two minutes on two cores.

Examples:
    gmconv demo
    gmconv demo --model sgmconv_cifar_resnet20 --epochs 5 --output output/static
"""

import argparse
import time

from .common import adder


def add_options(parser: argparse.ArgumentParser) -> None:
    add = adder(parser)
    add(
        "--model", default="gmconv_cifar_resnet20.gm_cifar10", help="name; without a tag, it starts from random weights"
    )
    add("--output", default="output/demo", help="folder for everything written")
    add("--overwrite", action="store_true", help="replace an earlier demo or network in the folder")
    add("--epochs", type=int, help="epochs (default: 15)")
    add("--images", type=int, help="number of images to use (default: all 1,797)")
    add("--seed", type=int, default=0, help="seed of initial weights, order and augmentation")


def main(args: argparse.Namespace) -> None:
    from ..demo.run import run_demo

    started = time.perf_counter()
    run_demo(**vars(args), say=print)
    print(f"done in {time.perf_counter() - started:.0f} s")
