"""Time masked networks beside their standard twins and beside other adaptive stems; write JSON and tables.

With --record everything is measured, kept in results/benchmark and, on a CPU, shown in the README and in
docs/performance.md: half an hour on two cores that have nothing else to do; with --plan too, only those parts of
the record are measured anew. The exit status is 1 with --check when an aim is missed.

Example:
    python scripts/benchmark.py --record
    python scripts/benchmark.py --plan stem cifar
    python scripts/benchmark.py --record --device cuda --precision bf16
    python scripts/benchmark.py --scaling results/benchmark/scaling.png
"""

import argparse
import logging
import os
import sys
from pathlib import Path

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler, before it is loaded

import torch

import gmconv_zoo  # noqa: F401  registers the models
from gmconv_zoo.benchmark import run_benchmark, run_scaling
from gmconv_zoo.benchmark.plans import PLANS, planned
from gmconv_zoo.benchmark.record import renew_record
from gmconv_zoo.benchmark.settings import PRECISIONS
from gmconv_zoo.benchmark.tables import write_tables
from gmconv_zoo.benchmark.targets import verdicts

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "results" / "benchmark"
SHOWN = RECORDS / "cpu_float32.json"
PAGES = {"readme": ROOT / "README.md", "page": ROOT / "docs" / "performance.md"}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", nargs="+", choices=tuple(PLANS), help="some of the measurements (all)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (%(default)s)")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="bf16 by autocast (%(default)s)")
    parser.add_argument("--compile", action="store_true", help="time torch.compiled networks")
    parser.add_argument("--threads", type=int, help="threads of torch (as many as it chooses)")
    parser.add_argument("--busy", action="store_true", help="processor time on one thread, where other work goes on")
    parser.add_argument(
        "--return-memory", action="store_true", help="let the C library return freed memory after every call"
    )
    parser.add_argument("--output", type=Path, default=Path("output/benchmark.json"), help="JSON file (%(default)s)")
    parser.add_argument("--record", action="store_true", help="measure into results/benchmark")
    parser.add_argument("--check", action="store_true", help="exit with 1 when an aim is missed")
    parser.add_argument("--tables", action="store_true", help="measure nothing; write the tables from the record")
    parser.add_argument("--scaling", type=Path, metavar="PNG", help="instead, plot cost against size; JSON beside it")
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    torch.set_num_threads(1 if args.busy else args.threads or torch.get_num_threads())
    try:
        if args.tables:
            write_tables(SHOWN, **PAGES)
            return 0
        if args.scaling:
            run_scaling(args.scaling, device=args.device, busy=args.busy)
            return 0
        options = {"device": args.device, "precision": args.precision, "compile": args.compile, "busy": args.busy}
        name = f"{args.device}_{args.precision}{'_compiled' if args.compile else ''}.json"
        path = RECORDS / name if args.record else args.output
        parts = planned(tuple(args.plan or PLANS), **options)
        keep_memory = not args.return_memory
        if args.record and args.plan:
            record = renew_record(parts, path, keep_memory=keep_memory)
        else:
            record = run_benchmark(parts, path, startup=args.record, keep_memory=keep_memory)
        if path == SHOWN:
            write_tables(SHOWN, **PAGES)
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f"benchmark.py: {error}")
    print(*verdicts(record), sep="\n")
    return 1 if args.check and not all(verdict.reached for verdict in verdicts(record)) else 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    sys.exit(main())
