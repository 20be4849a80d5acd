"""Train a detector on images with boxes: your own, or COCO.

DATA is a folder with annotations/instances_train*.json and annotations/instances_val*.json, or train.json and val.json,
in COCO's format, and with the images. The output folder holds the network of the epoch with the best average precision,
checkpoints, records, predictions and pictures. After an interruption, the same command with --resume continues and
ends with the same weights. For several processes, use torchrun, or on GPUs accelerate launch.

If there are fewer than 1,024 images, batches are smaller, unless you pass --batch-size. By default, --lr is scaled with
the batch size, and --warmup-epochs is as long as 500 updates, but at most a tenth of the training.

Examples:
    gmconv detect-train boxes --preset faster_gmconv_l1
    gmconv detect-train boxes --preset cascade_gmconv_l1 --image-size 480 --epochs 24 --output output/boxes
    torchrun --nproc-per-node 8 scripts/detect_train.py coco --preset faster_gmconv_l1_dcn --precision bf16
"""

import argparse

from ..detection.presets import presets
from ..detection.recipe import ONE_X, DetectionRecipe
from .common import WORKERS, adder
from .recipe_options import add_model_options, add_recipe_options, add_run_options, training


def add_options(parser: argparse.ArgumentParser) -> None:
    add = adder(parser)
    names = [preset.name for preset in presets()]
    add("data", metavar="DATA", help="folder with annotations and images")
    add(
        "--preset",
        choices=[*names, "none"],
        metavar="PRESET",
        default="faster_gmconv_l1",
        help=f"row of the paper's Table V: {', '.join(names)}; or none, for a standard Faster R-CNN and what "
        "--model-options say",
    )
    add("--weights", metavar="FILE", help="detector to start from: file, folder or Hub repository (default: none)")
    add("--no-pretrained", action="store_true", help="start the backbone from random weights")
    add_model_options(parser, "gmconv_zoo.detection.build", "backbone=resnet18 batch_norm=train frozen_stages=1")
    add("--image-size", type=int, metavar="PIXELS", help="shorter side of the images (default: 800)")
    add("--clip-boxes", action="store_true", help="clip boxes that leave their image, instead of refusing them")
    add("--workers", **WORKERS)
    add("--output", default="output/detect-train", help="folder for everything written")
    add_run_options(parser)
    add("--val-every", type=int, default=1, metavar="N", help="evaluate after every N epochs")
    add_recipe_options(parser, ONE_X)


def main(args: argparse.Namespace) -> None:
    with training(args, "data", "preset", "no_pretrained", "clip_boxes", recipe=DetectionRecipe) as options:
        from ..detection.train import train

        preset = None if args.preset == "none" else args.preset
        train(args.data, preset=preset, pretrained=not args.no_pretrained, clip=args.clip_boxes, **options)
