"""Time masked networks beside their standard twins and beside other adaptive stems; write a JSON file.

With --record everything is measured and kept in results/benchmark. This takes two hours of a core that has nothing
else to do (--busy), and four minutes on a CUDA device. With --plan too, only those parts of the record are measured
anew. `python -m reproduce.tables` then renews the tables of README.md and docs/performance*.md.

Examples:
    python -m reproduce.benchmark --record --busy
    python -m reproduce.benchmark --plan stem cifar
    python -m reproduce.benchmark --record --device cuda --precision bf16
    python -m reproduce.benchmark --scaling docs/images/scaling.png --overwrite
"""

import argparse
import logging
import os
from pathlib import Path

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler, before it is loaded

import torch

from gmconv_zoo.cli.command import run
from gmconv_zoo.saving.targets import check_target

from .. import ROOT
from .plans import PLANS, PRECISIONS, planned
from .record import make_record, run_benchmark
from .scaling import run_scaling


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--plan", nargs="+", default=(), choices=tuple(PLANS), help="some of the measurements (default: all)")
    add("--device", default="cpu", choices=("cpu", "cuda"), help="device (default: %(default)s)")
    add("--precision", choices=PRECISIONS, default="float32", help="bf16 by autocast (default: %(default)s)")
    add("--busy", action="store_true", help="processor time on one thread, where other work goes on")
    add("--return-memory", action="store_true", help="let the C library return freed memory")
    add("--output", type=Path, default=Path("output/benchmark.json"), help="JSON file (default: %(default)s)")
    add("--overwrite", action="store_true", help="replace files that --output or --scaling name")
    add("--record", action="store_true", help="measure into results/benchmark")
    add("--scaling", type=Path, metavar="PNG", help="plot cost against size, with JSON next to it (default: do not)")


def main(args: argparse.Namespace) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.busy:
        torch.set_num_threads(1)
    if args.scaling:
        for path in (args.scaling, args.scaling.with_suffix(".json")):
            check_target(path, "--scaling", overwrite=args.overwrite)
        run_scaling(args.scaling, device=args.device, busy=args.busy)
        return
    where = {"device": args.device, "precision": args.precision, "busy": args.busy}
    parts, keep_memory = planned(args.plan, **where), not args.return_memory
    if args.record:
        make_record(ROOT / "results" / "benchmark", parts, renew=bool(args.plan), keep_memory=keep_memory)
    else:
        check_target(args.output, overwrite=args.overwrite)
        run_benchmark(parts, args.output, keep_memory=keep_memory)


if __name__ == "__main__":
    run("python -m reproduce.benchmark", __doc__, add_options, main)
