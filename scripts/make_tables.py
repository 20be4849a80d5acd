"""Write the generated tables into the README, or check that they are up to date.

"models" is counted from the registered networks, "cifar" made from the runs in results/cifar.csv.

Example:
    python scripts/make_tables.py
    python scripts/make_tables.py --check
"""

from collections.abc import Callable
from pathlib import Path

from gmconv_zoo.cli.command import make_parser, one_line_errors, run

with one_line_errors():
    from gmconv_zoo.experiments.records import read_records
    from gmconv_zoo.experiments.tables import experiment_tables
    from gmconv_zoo.hub.tables import models_table
    from gmconv_zoo.markdown import with_block

ROOT = Path(__file__).parents[1]
PARTS: dict[str, Callable[[], str]] = {
    "models": models_table,
    "cifar": lambda: experiment_tables(read_records(ROOT / "results" / "cifar.csv")),
}


def main() -> int:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--file", type=Path, default=ROOT / "README.md", help="file with the markers (default: README.md)")
    add("--parts", nargs="+", default=list(PARTS), choices=PARTS, help="only these (default: all)")
    add("--check", action="store_true", help="write nothing; exit with 1 when a table differs")
    args = parser.parse_args()
    for name in args.parts:
        text = with_block(args.file, name, PARTS[name]())
        if not args.check:
            args.file.write_text(text, encoding="utf-8")
        elif text != args.file.read_text(encoding="utf-8"):
            print(f"{args.file}: the part {name!r} differs; run: python scripts/make_tables.py")
            return 1
    return 0


if __name__ == "__main__":
    run(main)
