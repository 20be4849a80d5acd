"""Explain a classifier's answer for single images: the classes, the stem's mask, and where the evidence lies.

MODEL is a timm name with pretrained weights, a folder that gmconv_zoo.save wrote, or a Hub repository. One picture is
written for every image, with the numbers next to it as CSV. Pass --dataset-images, a sample of the dataset, to see how
far an image's sigmas are from the mean.

Example:
    gmconv explain gmconv_cifar_resnet20.gm_cifar10 photo.jpg
    gmconv explain output/finetune photos/*.jpg --dataset-images photos --output output/explanations
"""

import argparse
from dataclasses import replace

from .common import IMAGES, MODEL, WEIGHTS, adder, picture_paths


def add_options(parser: argparse.ArgumentParser) -> None:
    add = adder(parser)
    add("model", **MODEL)
    add("--weights", **WEIGHTS)
    add("images", **IMAGES)
    add("--top", type=int, default=5, help="classes per image")
    add(
        "--dataset-images", **{**IMAGES, "default": (), "help": "sample of the dataset, for its sigmas (default: none)"}
    )
    add("--output", metavar="FOLDER", default="output/explanations", help="folder of the pictures")
    add("--overwrite", action="store_true", help="replace pictures that exist")


def main(args: argparse.Namespace) -> None:
    from ..images.listing import find_images
    from ..saving.named import open_model
    from ..saving.targets import check_target
    from ..visualize.explain import explain
    from ..visualize.explanation_figure import draw_explanation
    from ..wording import printable

    images = find_images(args.images)
    sample = find_images(args.dataset_images) or None
    pictures = picture_paths(args.output, images)
    for picture in pictures:
        check_target(picture, inputs=images, overwrite=args.overwrite)
    model = open_model(args.model, weights=args.weights)
    mean = deviation = None
    for image, picture in zip(images, pictures, strict=True):
        found = explain(model, image, images=None if mean else sample, mean_sigma=mean, topk=args.top)
        deviation = found.sigma_deviation or deviation  # measured with the first image, and the same for all
        mean, found = found.mean_sigma, replace(found, sigma_deviation=deviation)
        name, probability = found.classes[0]
        drawn = draw_explanation(found, picture, overwrite=args.overwrite)
        print(printable(f"{image}: {name}, {100 * probability:.1f} %; {drawn}"))
