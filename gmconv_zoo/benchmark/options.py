"""Command-line options of what is measured."""

import argparse

from .plans import PLANS, planned
from .settings import PRECISIONS, BenchmarkSettings

__all__ = ["add_plan_options", "chosen_parts"]


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser the plans, and where and how they are measured."""
    parser.add_argument(
        "--plan", nargs="+", default=(), choices=tuple(PLANS), help="some of the measurements (default: all)"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="float32", help="bf16 by autocast (default: %(default)s)"
    )
    parser.add_argument("--compile", action="store_true", help="time torch.compiled networks")
    parser.add_argument("--busy", action="store_true", help="processor time on one thread, where other work goes on")


def chosen_parts(args: argparse.Namespace) -> list[BenchmarkSettings]:
    """The settings that were chosen on the command line, of all plans where none is named.

    Raises:
        ValueError: for a value that cannot be measured.
    """
    return planned(
        args.plan or PLANS, device=args.device, precision=args.precision, compile=args.compile, busy=args.busy
    )
