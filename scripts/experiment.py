"""Train what an experiment compares, every run a row of a CSV file, and print its tables.

Runs that are recorded already are not trained again; an interrupted one goes on from its checkpoint. Experiments:
table1 (standard, S-GMConv, GMConv), fig6 (initial sigma), table4 (designs of the dynamic stem), sigma-decay and
sigma-decay-dynamic (weight decay on the sigmas or not). Without --epochs by the paper's full recipes.

Examples:
    python scripts/experiment.py table1 --nets cifar_resnet20 --sets cifar10 --seeds 0 1 2 --data-dir data
    python scripts/experiment.py table1 fig6 --epochs 10 --jobs 2 --data-dir data
    python scripts/experiment.py --record output/train --dataset "CIFAR-10 test"
"""

import argparse
import logging
import sys
from pathlib import Path

import gmconv_zoo  # noqa: F401  registers the models
from gmconv_zoo.classify.recipe_options import add_recipe_options, recipe_overrides
from gmconv_zoo.experiments.arms import DATASETS, EXPERIMENTS, NETS, plan_runs
from gmconv_zoo.experiments.records import add_record, read_records, record_of_folder
from gmconv_zoo.experiments.run import RunSettings, run_all
from gmconv_zoo.experiments.tables import experiment_tables


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", metavar="EXPERIMENT", nargs="*", help=", ".join(EXPERIMENTS))
    parser.add_argument("--nets", nargs="+", default=NETS[:1], metavar="NET", help=f"of {', '.join(NETS)}")
    parser.add_argument("--sets", nargs="+", default=["cifar10"], metavar="SET", help=f"of {', '.join(DATASETS)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N", help="of every arm (0 1 2)")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="image folders or torchvision's files")
    parser.add_argument("--output", type=Path, default=Path("output/experiments"), help="a folder per run in it")
    parser.add_argument("--results", type=Path, default=Path("results/cifar.csv"), help="the CSV file (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at a time (%(default)s)")
    parser.add_argument("--precision", default="no", choices=("no", "bf16", "fp16"), help="mixed precision")
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    parser.add_argument("--val-every", type=int, default=1, metavar="N", help="evaluate after N epochs (%(default)s)")
    parser.add_argument("--again", action="store_true", help="also train what is recorded as failed")
    parser.add_argument("--record", metavar="FOLDER", help="only record a run that scripts/train.py has finished")
    parser.add_argument("--dataset", default="", help='of --record, e.g. "CIFAR-10 test"')
    add_recipe_options(parser)
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        if args.record:
            add_record(args.results, record_of_folder(args.record, dataset=args.dataset))
            return 0
        changes = recipe_overrides(args)
        epochs = changes.pop("epochs", None)
        planned = {"nets": args.nets, "datasets": args.sets, "seeds": args.seeds, "epochs": epochs, "changes": changes}
        runs = plan_runs(args.experiments, **planned)
        settings = RunSettings(args.data_dir, args.output, args.precision, args.jobs, args.compile, args.val_every)
        records = run_all(runs, args.results, settings, again=args.again, say=print)
        print(f"\n{experiment_tables(read_records(args.results))}")
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"experiment.py: {error}")
    return int(any(record.status != "done" for record in records))


if __name__ == "__main__":
    sys.exit(main())
