"""Write the table of models into the README, or check that it is up to date.

Example:
    python scripts/make_tables.py
    python scripts/make_tables.py --check
"""

import argparse
import sys
from pathlib import Path

import gmconv_zoo  # noqa: F401  registers the models
from gmconv_zoo.hub.tables import table_is_current, write_table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, default=Path(__file__).parents[1] / "README.md", help="with the markers")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when the table differs")
    args = parser.parse_args()
    try:
        if not args.check:
            write_table(args.file)
        elif not table_is_current(args.file):
            print(f"{args.file}: the table of models differs; run: python scripts/make_tables.py")
            return 1
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
