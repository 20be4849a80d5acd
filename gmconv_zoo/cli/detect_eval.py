"""Measure the average precision of a detector on images with boxes, as COCO does, with pycocotools.

MODEL is a folder that gmconv detect-train or gmconv_zoo.save wrote, or a Hub repository. DATA is a folder as for gmconv
detect-train. To measure earlier detections, pass --predictions, a file in COCO's result format, instead of MODEL. For
several processes, use torchrun, or on GPUs accelerate launch; the result is the same for any number of them.

Examples:
    gmconv detect-eval output/detect-train boxes
    gmconv detect-eval boxes --predictions output/detect-train/predictions.json
    torchrun --nproc-per-node 8 scripts/detect_eval.py output/detect-train coco --output output/evaluated
"""

import argparse
import logging

from .common import DEVICE_OR_CPU, PRECISION, SHORTER_SIDE, WORKERS, adder


def add_options(parser: argparse.ArgumentParser) -> None:
    add = adder(parser)
    add("model", metavar="MODEL", nargs="?", help="folder or Hub repository")
    add("data", metavar="DATA", help="folder with annotations and images")
    add("--predictions", metavar="FILE", help="measure this result file instead of a model (default: none)")
    add("--split", default="val", help="split of the dataset, train or val")
    add("--clip-boxes", action="store_true", help="accept boxes that leave their image")
    add("--image-size", **SHORTER_SIDE)
    add("--batch-size", type=int, default=1, help="images per forward pass; above 1, padding changes results slightly")
    add("--workers", **WORKERS)
    add("--precision", **PRECISION)
    add("--device", **DEVICE_OR_CPU)
    add("--output", metavar="FOLDER", help="folder for results.json, the predictions and a picture (default: none)")
    add("--overwrite", action="store_true", help="write into a folder that contains other files")


def main(args: argparse.Namespace) -> None:
    from ..detection.measure import measure, result_table
    from ..engine.fit import default_accelerator

    logging.basicConfig(format="%(levelname)s: %(message)s")
    place = {"cpu": True} if args.device == "cpu" else {}
    accelerator = default_accelerator(mixed_precision=args.precision, **place)
    names = ("predictions", "split", "image_size", "output", "overwrite", "batch_size", "workers")
    options = {name: getattr(args, name) for name in names} | {"clip": args.clip_boxes, "accelerator": accelerator}
    accelerator.print(result_table(measure(args.data, args.model, progress=True, **options)))
    accelerator.end_training()
