"""Find objects in images: draw their boxes with names, and write them in COCO's result format.

MODEL is a folder that gmconv detect-train or gmconv_zoo.save wrote, or a Hub repository. IMAGES are files, folders and
patterns. The output folder holds detections.json and a picture of each image, with its boxes as CSV next to it. The
exit status is 1 when an image could not be read.

Example:
    gmconv detect output/detect-train photo.jpg
    gmconv detect output/detect-train photos 'more/*.png' --score 0.3 --output output/found
"""

import argparse
from pathlib import Path
from typing import Any

from .common import DEVICE, IMAGES, SHORTER_SIDE, adder, picture_paths


def add_options(parser: argparse.ArgumentParser) -> None:
    add = adder(parser)
    add("model", metavar="MODEL", help="folder or Hub repository")
    add("images", **IMAGES)
    add("--score", type=float, default=0.5, help="lowest score of a detection, 0 to 1; none is below 0.05")
    add("--image-size", **SHORTER_SIDE)
    add("--device", **DEVICE)
    add("--output", metavar="FOLDER", default="output/detections", help="folder for the pictures and detections.json")
    add("--overwrite", action="store_true", help="replace files that exist")


def main(args: argparse.Namespace) -> int:
    from ..detection.build import categories_of
    from ..detection.detect import detect, detection_table
    from ..detection.measure import resize_to
    from ..files.records import write_json
    from ..images.listing import find_images
    from ..saving.named import open_model
    from ..saving.targets import check_target
    from ..visualize.detections import draw_boxes

    images = find_images(args.images)
    pictures = picture_paths(args.output, images)
    for file in (Path(args.output, "detections.json"), *pictures):
        check_target(file, inputs=images, overwrite=args.overwrite)
    detector = open_model(args.model)
    resize_to(detector, args.image_size)
    entries: list[dict[str, Any]] = []
    unread = False
    for found, picture in zip(detect(detector, images, least=args.score, device=args.device), pictures, strict=True):
        print(detection_table(found))
        unread = unread or bool(found.error)
        entries += found.entries
        if found.boxed is not None:
            draw_boxes([[found.boxed]], picture, classes=[*categories_of(detector)])
    print(f"pictures and {write_json(Path(args.output, 'detections.json'), entries)}")
    return int(unread)
