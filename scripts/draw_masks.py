"""Draw the picture of kernels under Gaussian masks that the README shows.

Example:
    python scripts/draw_masks.py --output docs/images/masks.png --overwrite
"""

import argparse
import sys

from gmconv_zoo.saving.targets import check_target
from gmconv_zoo.visualize.diagram import draw_diagram


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="docs/images/masks.png", help="the picture (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace a picture that exists")
    args = parser.parse_args()
    try:
        check_target(args.output, overwrite=args.overwrite)
    except ValueError as error:
        sys.exit(f"draw_masks.py: {error}")
    print(f"wrote {draw_diagram(args.output)}")


if __name__ == "__main__":
    main()
