"""Write a report about a classifier into one HTML file: its masks, receptive fields, accuracy, mistakes and speed.

MODEL is a timm name with pretrained weights, a folder that gmconv_zoo.save or a training wrote, a checkpoint, or a Hub
repository. Pass --data, labelled images that the network was not trained on, for everything that depends on images.
The file opens in a browser without a connection.

Example:
    gmconv report output/finetune --data photos/val
    gmconv report gmconv_cifar_resnet20.gm_cifar10 --data torch/cifar10 --data-dir data --output report.html
"""

import argparse


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of a report."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="name, folder, checkpoint or Hub repository")
    add("--data", help="folder of images, tar file, or torch/NAME or hfds/NAME (default: none)")
    add("--data-dir", help="folder that holds a named dataset (default: none)")
    add("--split", default="validation", help="split of the dataset (default: %(default)s)")
    add("--labels", metavar="FILE", help="labels of a flat folder of images (default: none)")
    add("--twin", metavar="MODEL", help="network for comparison (default: the standard twin, if it is packaged)")
    add("--mistakes", type=int, default=12, help="worst mistakes to show as pictures (default: %(default)s)")
    add("--batch-size", type=int, default=64, help="images per forward pass (default: %(default)s)")
    add("--workers", type=int, default=0, help="loader processes (default: %(default)s)")
    add("--skip-bad", action="store_true", help="leave unreadable images out, and name them on the page")
    add("--device", default="cpu", help='where to compute, e.g. "cuda" (default: %(default)s)')
    add("--output", metavar="FILE", default="output/report.html", help="HTML file to write (default: %(default)s)")
    add("--overwrite", action="store_true", help="replace a file that exists")


def main(args: argparse.Namespace) -> None:
    """Report as the options say."""
    from ..classify.report import report

    print(report(**vars(args), progress=True))
