"""Finetune a GMConv network on handwritten digits, fuse it, save it, load it back through timm and draw its masks.

Offline; about two minutes on two cores.

Examples:
    python scripts/demo.py
    python scripts/demo.py --model sgmconv_cifar_resnet20 --epochs 5 --output output/static
"""

import time

from gmconv_zoo.cli.command import make_parser, one_line_errors, run

with one_line_errors():
    from gmconv_zoo.classify.demo import DEMO_FILES, run_demo
    from gmconv_zoo.saving.targets import check_target


def main() -> None:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add(
        "--model",
        default="gmconv_cifar_resnet20.gm_cifar10",
        help="model name; without a tag training starts from random weights (default: %(default)s)",
    )
    add("--output", default="output/demo", help="folder for everything written (default: %(default)s)")
    add("--overwrite", action="store_true", help="replace an earlier demo or network in the folder")
    add("--epochs", type=int, help="epochs (default: the recipe's)")
    add("--images", type=int, help="use only so many of the images (default: all 1,797)")
    add("--seed", type=int, default=0, help="seed of initial weights, order and augmentation (default: %(default)s)")
    args = parser.parse_args()
    started = time.perf_counter()
    check_target(args.output, writes=DEMO_FILES, overwrite=args.overwrite)
    run_demo(args.model, args.output, epochs=args.epochs, images=args.images, seed=args.seed, say=print)
    print(f"done in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    run(main)
