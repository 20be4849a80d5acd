"""Classify images and print the most probable classes.

MODEL is a timm name with pretrained weights, a folder that gmconv_zoo.save wrote, or a Hub repository. IMAGES are
files, folders and patterns. The files of --csv and --json are written before anything is printed. The exit status is
1 when an image could not be read.

Example:
    gmconv predict gmconv_resnet18.from_tv_in1k photo.jpg
    gmconv predict ORG/NAME photos 'more/*.png' --top 3 --csv predictions.csv
"""

import argparse
import logging
from pathlib import Path

from .common import DEVICE, IMAGES, MODEL, WEIGHTS, adder


def add_options(parser: argparse.ArgumentParser) -> None:
    add = adder(parser)
    add("model", **MODEL)
    add("--weights", **WEIGHTS)
    add("images", **IMAGES)
    add("--top", type=int, default=5, help="classes per image")
    add("--batch-size", type=int, default=32, help="images per forward pass")
    add("--device", **DEVICE)
    add("--csv", metavar="FILE", help="also write the predictions as CSV (default: do not)")
    add("--json", metavar="FILE", help="also write the predictions as JSON (default: do not)")
    add("--overwrite", action="store_true", help="replace files that --csv and --json name")


def main(args: argparse.Namespace) -> int:
    from ..classify.predict import predict, prediction_table, write_predictions_csv, write_predictions_json
    from ..images.listing import find_images
    from ..saving.named import open_model
    from ..saving.targets import check_target

    logging.getLogger(predict.__module__).setLevel(logging.ERROR)  # the table names the images that cannot be read
    images = find_images(args.images)
    for option, path in (("--csv", args.csv), ("--json", args.json)):
        if path is not None:
            check_target(path, option, inputs=images, overwrite=args.overwrite)
    if args.csv and args.json and Path(args.csv).resolve() == Path(args.json).resolve():
        raise ValueError(f"--csv and --json both name {args.csv}: choose two files.")
    model = open_model(args.model, weights=args.weights)
    predictions = list(predict(model, images, topk=args.top, batch_size=args.batch_size, device=args.device))
    try:
        if args.csv:
            write_predictions_csv(predictions, args.csv)
        if args.json:
            write_predictions_json(predictions, args.json)
    finally:
        print(prediction_table(predictions))
    return int(any(prediction.error for prediction in predictions))
