"""Time masked networks beside their standard twins and beside other adaptive stems; write JSON and tables.

With --record everything is measured, kept in results/benchmark and, on a CPU, shown in the README and in
docs/performance.md: half an hour on two cores that have nothing else to do; with --plan too, only those parts of
the record are measured anew. The exit status is 1 with --check when an aim is missed.

Example:
    python scripts/benchmark.py --record
    python scripts/benchmark.py --plan stem cifar
    python scripts/benchmark.py --record --device cuda --precision bf16
    python scripts/benchmark.py --scaling results/benchmark/scaling.png --overwrite
"""

import argparse
import logging
import os
from pathlib import Path

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler, before it is loaded

import torch

from gmconv_zoo.cli.command import make_parser, one_line_errors, run

with one_line_errors():
    from gmconv_zoo.benchmark import run_benchmark, run_scaling
    from gmconv_zoo.benchmark.options import add_plan_options, chosen_parts
    from gmconv_zoo.benchmark.record import make_record
    from gmconv_zoo.benchmark.tables import write_tables
    from gmconv_zoo.benchmark.targets import verdicts
    from gmconv_zoo.saving.targets import check_target

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "results" / "benchmark"
SHOWN = RECORDS / "cpu_float32.json"
PAGES = {"readme": ROOT / "README.md", "page": ROOT / "docs" / "performance.md"}


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add_plan_options(parser)
    add("--threads", type=int, help="threads of torch (default: torch's choice)")
    add("--return-memory", action="store_true", help="let the C library return freed memory")
    add("--output", type=Path, default=Path("output/benchmark.json"), help="JSON file (default: %(default)s)")
    add("--overwrite", action="store_true", help="replace files that --output or --scaling name")
    add("--record", action="store_true", help="measure into results/benchmark")
    add("--check", action="store_true", help="exit with 1 when an aim is missed")
    add("--tables", action="store_true", help="measure nothing; write the tables from the record")
    add(
        "--scaling",
        type=Path,
        metavar="PNG",
        help="plot cost against size instead, with JSON next to it (default: do not)",
    )
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    torch.set_num_threads(1 if args.busy else args.threads or torch.get_num_threads())
    if args.tables:
        write_tables(SHOWN, **PAGES)
        return 0
    if args.scaling:
        for path in (args.scaling, args.scaling.with_suffix(".json")):
            check_target(path, "--scaling", overwrite=args.overwrite)
        run_scaling(args.scaling, device=args.device, busy=args.busy)
        return 0
    parts = chosen_parts(args)
    if args.record:
        path, record = make_record(RECORDS, parts, renew=bool(args.plan), keep_memory=not args.return_memory)
        if path == SHOWN:
            write_tables(SHOWN, **PAGES)
    else:
        check_target(args.output, overwrite=args.overwrite)
        record = run_benchmark(parts, args.output, keep_memory=not args.return_memory)
    judged = verdicts(record)
    print(*judged, sep="\n")
    return int(args.check and not all(verdict.reached for verdict in judged))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    run(main)
