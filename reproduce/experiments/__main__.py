"""Train what an experiment compares, every run a row of a CSV file, and print its tables.

Runs that are recorded already are not trained again; an interrupted one goes on from its checkpoint. docs/reproduce.md
describes the experiments. Without --epochs, the recipes are the paper's.

Examples:
    python -m reproduce.experiments table1 --nets cifar_resnet20 --sets cifar10 --seeds 0 1 2 --data-dir data
    python -m reproduce.experiments table1 fig6 --epochs 10 --jobs 2 --data-dir data
    python -m reproduce.experiments --figure docs/images/kernel_gain.png --overwrite
    python -m reproduce.experiments --fig6-figure docs/images/initial_sigma.png --overwrite
    python -m reproduce.experiments --sigma-figure docs/images/sigma_depth.png --overwrite
    python -m reproduce.experiments --record output/train --dataset "CIFAR-10 test"
"""

import argparse
import logging
from pathlib import Path

from gmconv_zoo.cli.command import run
from gmconv_zoo.cli.recipe_options import add_recipe_options, recipe_overrides
from gmconv_zoo.device import PRECISIONS
from gmconv_zoo.saving.targets import check_target

from .arms import EXPERIMENTS, NETS, plan_runs
from .datasets import check_recorded
from .figure import draw_gains, draw_initial_sigmas, draw_sigma_depths
from .records import RunRecord, add_record, read_records, record_of_folder
from .run import RunSettings, run_all
from .tables import experiment_tables


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("experiments", metavar="EXPERIMENT", nargs="*", help=", ".join(EXPERIMENTS))
    add(
        "--nets",
        nargs="+",
        default=NETS[:1],
        choices=NETS,
        help=f"networks; depthwise experiments have their own (default: {NETS[0]})",
    )
    add("--sets", nargs="+", default=["cifar10"], metavar="SET", help="cifar10 or cifar100 (default: cifar10)")
    add("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N", help="seeds of every arm (default: 0 1 2)")
    add(
        "--data-dir",
        type=Path,
        default=Path("data"),
        help="image folders or torchvision's files (default: %(default)s)",
    )
    add("--output", type=Path, default=Path("output/experiments"), help="holds a folder per run (default: %(default)s)")
    add("--results", type=Path, default=Path("results/cifar.csv"), help="the CSV file (default: %(default)s)")
    add("--jobs", type=int, default=1, metavar="N", help="runs at a time (default: %(default)s)")
    add("--precision", default="float32", choices=tuple(PRECISIONS), help="mixed precision (default: %(default)s)")
    add("--compile", action="store_true", help="use torch.compile")
    add("--val-every", type=int, default=1, metavar="N", help="evaluate after so many epochs (default: %(default)s)")
    add("--record", metavar="FOLDER", help="only record a finished run of gmconv train (default: train)")
    add("--dataset", default="", help='dataset of --record, e.g. "CIFAR-10 test" (default: as results.json says)')
    add("--figure", type=Path, metavar="PNG", help="only draw the gains of kernel3 to kernel11 from the CSV file")
    add("--fig6-figure", type=Path, metavar="PNG", help="only draw the gains by initial sigma from the CSV file")
    add("--sigma-figure", type=Path, metavar="PNG", help="only draw final sigmas by depth, decayed and not")
    add("--overwrite", action="store_true", help="replace the files that these options name")
    add_recipe_options(parser)


def main(args: argparse.Namespace) -> int:
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    if args.record:
        record = record_of_folder(args.record, dataset=args.dataset)
        check_recorded(record, args.record)
        add_record(args.results, record)
        return 0
    figures = {
        "--figure": (draw_gains, args.figure),
        "--fig6-figure": (draw_initial_sigmas, args.fig6_figure),
        "--sigma-figure": (draw_sigma_depths, args.sigma_figure),
    }
    wanted = [(option, draw, target) for option, (draw, target) in figures.items() if target]
    for option, draw, target in wanted:
        check_target(target, option, overwrite=args.overwrite)
        draw(read_records(args.results, RunRecord), target)
    if wanted:
        return 0
    changes = recipe_overrides(args)
    runs = plan_runs(
        args.experiments,
        nets=args.nets,
        datasets=args.sets,
        seeds=args.seeds,
        epochs=changes.pop("epochs", None),
        changes=changes,
        precision="no" if args.precision == "float32" else args.precision,  # as records have it
    )
    settings = RunSettings(args.data_dir, args.output, args.jobs, args.compile, args.val_every)
    records = run_all(runs, args.results, settings)
    print(f"\n{experiment_tables(read_records(args.results, RunRecord))}")
    return int(any(record.status != "done" for record in records))


if __name__ == "__main__":
    run("python -m reproduce.experiments", __doc__, add_options, main)
