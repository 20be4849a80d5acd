"""Finetune a GMConv network on handwritten digits, fuse it, save it, load it back through timm and draw its masks.

Offline; about two minutes on two cores.

Examples:
    python scripts/demo.py
    python scripts/demo.py --model sgmconv_cifar_resnet20 --epochs 5 --output output/static
"""

import argparse
import sys
import time

from gmconv_zoo.classify.demo import DEMO_FILES, run_demo
from gmconv_zoo.saving.targets import check_target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model",
        default="gmconv_cifar_resnet20.gm_cifar10",
        help="model name; without a tag training starts from random weights (%(default)s)",
    )
    parser.add_argument("--output", default="output/demo", help="folder for everything written (%(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier demo or network in the folder")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--images", type=int, help="use only so many of the 1,797 images")
    parser.add_argument("--seed", type=int, default=0, help="of initial weights, order and augmentation (%(default)s)")
    args = parser.parse_args()
    started = time.perf_counter()
    try:
        check_target(args.output, writes=DEMO_FILES, overwrite=args.overwrite)
        run_demo(args.model, args.output, epochs=args.epochs, images=args.images, seed=args.seed, say=print)
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"demo.py: {error}")
    print(f"done in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
