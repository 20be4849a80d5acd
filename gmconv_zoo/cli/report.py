"""Write a report about a network into one HTML file: its masks, receptive fields, accuracy, mistakes and speed.

MODEL is a timm name with pretrained weights, a folder that gmconv_zoo.save or a training wrote, a checkpoint, or a Hub
repository. Pass --data, labelled images that the network was not trained on, for everything that depends on images.
The file opens in a browser without a connection.

MODEL can also be a detector. DATA is then a folder with annotations in COCO's format, --split is val or train, and
--mistakes is the number of images that are shown with their true and their detected boxes.

Example:
    gmconv report output/finetune --data photos/val
    gmconv report gmconv_cifar_resnet20.gm_cifar10 --data torch/cifar10 --data-dir data --output report.html
    gmconv report output/detect-train --data boxes --split val
"""

import argparse

from .common import DEVICE, adder


def add_options(parser: argparse.ArgumentParser) -> None:
    add = adder(parser)
    add("model", metavar="MODEL", help="name, folder, checkpoint or Hub repository")
    add("--data", help="folder of images, tar file, torch/NAME or hfds/NAME; for a detector, a folder (default: none)")
    add("--data-dir", help="folder that holds a named dataset (default: none)")
    add("--split", help="split of the dataset (default: validation; for a detector, val)")
    add("--labels", metavar="FILE", help="labels of a flat folder of images (default: none)")
    add("--twin", metavar="MODEL", help="network for comparison (default: the standard twin, if it is packaged)")
    add("--mistakes", type=int, metavar="N", help="pictures of mistakes (default: 12; for a detector, 6)")
    add("--batch-size", type=int, help="images per forward pass of a classifier (default: 64)")
    add("--workers", type=int, default=0, help="loader processes")
    add("--skip-bad", action="store_true", help="leave unreadable images out, and name them on the page")
    add("--clip-boxes", action="store_true", help="accept boxes that leave their image (detectors only)")
    add("--device", **DEVICE)
    add("--output", metavar="FILE", default="output/report.html", help="HTML file to write")
    add("--overwrite", action="store_true", help="replace a file that exists")


def main(args: argparse.Namespace) -> None:
    from ..saving.detectors import holds_detector

    options = {name: value for name, value in vars(args).items() if value is not None}
    clip = options.pop("clip_boxes")
    if not holds_detector(args.model):
        from ..reports.classifier import report

        if clip:
            raise ValueError(f"{args.model} is a classifier: leave out --clip-boxes.")
        print(report(**options, progress=True))
        return
    from ..reports.detector import report as report_detector

    for name in ("data_dir", "labels", "skip_bad", "batch_size"):
        if options.pop(name, False):
            raise ValueError(f"{args.model} is a detector: leave out --{name.replace('_', '-')}.")
    options |= {"pictures": options.pop("mistakes")} if "mistakes" in options else {}
    print(report_detector(**options, clip=clip, progress=True))
