"""Draw the picture of kernels under Gaussian masks that the README shows.

Example:
    python scripts/draw_masks.py --output docs/images/masks.png
"""

import argparse

from gmconv_zoo.visualize.diagram import draw_diagram


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="docs/images/masks.png", help="the picture (default: %(default)s)")
    args = parser.parse_args()
    print(f"wrote {draw_diagram(args.output)}")


if __name__ == "__main__":
    main()
