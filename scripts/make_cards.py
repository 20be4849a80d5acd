"""Write the model cards from the weight specs, or check that they are up to date.

Example:
    python scripts/make_cards.py
    python scripts/make_cards.py --check
"""

from pathlib import Path

from gmconv_zoo.cli.command import make_parser, one_line_errors, run

with one_line_errors():
    from gmconv_zoo.hub.cards import check_cards, write_cards


def main() -> int:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add(
        "--folder",
        type=Path,
        default=Path(__file__).parents[1] / "model_cards",
        help="folder of the cards (default: model_cards)",
    )
    add("--check", action="store_true", help="write nothing; exit with 1 when a card differs")
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
    run(main)
