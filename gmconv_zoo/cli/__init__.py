"""The command `gmconv`, with a module for each of its commands.

The docstring of a module is the help of its command, `add_options` gives a parser the options, and `main` runs the
command, for which it imports what it needs only then.
"""

import argparse
import sys
from importlib import import_module

from .._version import __version__
from .command import CommandParser, run

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "finetune": "finetune a network on a folder of images",
    "train": "train a network from random weights by the paper's recipe",
    "validate": "count exactly how many images models classify correctly",
    "predict": "classify images and print the most probable classes",
    "detect-train": "train a detector on images with boxes (COCO's format)",
    "detect-eval": "measure a detector's average precision on images with boxes",
    "detect": "find objects in images and draw their boxes",
    "export": "write a network as an ONNX, TorchScript or torch.export file",
    "publish": "publish a saved network on the Hugging Face Hub",
    "models": "list the networks and their pretrained weights",
    "verify": "check the pretrained weights in the cache against their hashes",
    "draw": "draw a network's masks, sigmas, kernel sizes and receptive field",
    "explain": "explain a classifier's answer for single images",
    "report": "write a page about a network: masks, receptive fields, accuracy, mistakes",
    "demo": "finetune, fuse, save, load and draw a network in two minutes, offline",
}


def main(command: str | None = None) -> None:
    """Run one of `COMMANDS` with the program's arguments; None for the one that the first argument names."""
    arguments = sys.argv[1:]
    if command is None:
        listed = "\n".join(f"  {name:14}{what}" for name, what in COMMANDS.items())
        parser = CommandParser(
            prog="gmconv",
            description=f"Gaussian Mask Convolution for timm models.\n\ncommands:\n{listed}",
            epilog="gmconv COMMAND --help shows the options of a command, with examples.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument("--version", action="version", version=f"gmconv_zoo {__version__}")
        parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="command to run")
        command, arguments = parser.parse_args(arguments[:1]).command, arguments[1:]
    module = import_module(f".{command.replace('-', '_')}", __name__)
    run(f"gmconv {command}", module.__doc__, module.add_options, module.main, arguments)
