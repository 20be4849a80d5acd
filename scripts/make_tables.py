"""Write the generated tables into their pages, or check that they are up to date.

"models" (README.md) is counted from the registered networks; "summary" (README.md) and "cifar" (docs/results.md) are
made from the runs in results/cifar.csv.

Example:
    python scripts/make_tables.py
    python scripts/make_tables.py --check
"""

from collections.abc import Callable
from pathlib import Path

from gmconv_zoo.cli.command import make_parser, one_line_errors, run

with one_line_errors():
    from gmconv_zoo.experiments.records import read_records
    from gmconv_zoo.experiments.tables import experiment_tables, summary_table
    from gmconv_zoo.hub.tables import models_table
    from gmconv_zoo.markdown import with_block

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "results" / "cifar.csv"
README, RESULTS = ROOT / "README.md", ROOT / "docs" / "results.md"
# Name of a part -> the page it belongs to, and what makes it
PARTS: dict[str, tuple[Path, Callable[[], str]]] = {
    "models": (README, models_table),
    "summary": (README, lambda: summary_table(read_records(RUNS))),
    "cifar": (RESULTS, lambda: experiment_tables(read_records(RUNS))),
}


def main() -> int:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add(
        "--file", type=Path, help="write to this file instead, which has the parts' markers (default: each to its page)"
    )
    add("--parts", nargs="+", default=list(PARTS), choices=PARTS, help="only these (default: all)")
    add("--check", action="store_true", help="write nothing; exit with 1 when a table differs")
    args = parser.parse_args()
    for name in args.parts:
        page, content = PARTS[name]
        page = args.file or page
        text = with_block(page, name, content())
        if not args.check:
            page.write_text(text, encoding="utf-8")
        elif text != page.read_text(encoding="utf-8"):
            print(f"{page}: the part {name!r} differs; run: python scripts/make_tables.py")
            return 1
    return 0


if __name__ == "__main__":
    run(main)
