"""Draw the picture of kernels under Gaussian masks that the README shows.

Example:
    python scripts/draw_masks.py --output docs/images/masks.png --overwrite
"""

from gmconv_zoo.cli.command import make_parser, one_line_errors, run

with one_line_errors():
    from gmconv_zoo.saving.targets import check_target
    from gmconv_zoo.visualize.diagram import draw_diagram


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--output", default="docs/images/masks.png", help="the picture (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace a picture that exists")
    args = parser.parse_args()
    check_target(args.output, overwrite=args.overwrite)
    print(f"wrote {draw_diagram(args.output)}")


if __name__ == "__main__":
    run(main)
