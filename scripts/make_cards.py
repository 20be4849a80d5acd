"""Write the model cards from the weight specs, or check that they are up to date.

Example:
    python scripts/make_cards.py
    python scripts/make_cards.py --check
"""

import argparse
import sys
from pathlib import Path

from gmconv_zoo.hub.cards import check_cards, write_cards


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[1] / "model_cards", help="of the cards")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a card differs")
    args = parser.parse_args()
    if args.check:
        problems = check_cards(args.folder)
        for problem in problems:
            print(problem)
        if problems:
            print("run: python scripts/make_cards.py")
        return 1 if problems else 0
    for path in write_cards(args.folder):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
