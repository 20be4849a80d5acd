"""Put a trained CIFAR network's weights into the package, and print their row for weights/specs.py.

The network is loaded and compared first; the accuracy is read from its results.json.

Example:
    python scripts/package_weights.py output/train --tag gm_cifar10 --dataset "CIFAR-10 test" --recipe "30 epochs"
"""

import argparse
import sys

import gmconv_zoo  # noqa: F401  registers the models
from gmconv_zoo.hub.measured import choose_measured
from gmconv_zoo.hub.package import package
from gmconv_zoo.hub.publish import spec_row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", help="what scripts/train.py wrote")
    parser.add_argument("--tag", required=True, help='e.g. "gm_cifar10", "cifar10" for a network without masks')
    parser.add_argument("--dataset", default="", help='what was measured, e.g. "CIFAR-10 test"')
    parser.add_argument("--source", default="trained from random weights", help="in words (%(default)s)")
    parser.add_argument("--recipe", default="", help="how they were trained, in words")
    parser.add_argument("--overwrite", action="store_true", help="replace packaged weights of the same tag")
    args = parser.parse_args()
    try:
        measured = choose_measured(args.folder, dataset=args.dataset)
        described = {"source": args.source, "recipe": args.recipe, "overwrite": args.overwrite}
        spec = package(args.folder, args.tag, measured=measured, **described)
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"package_weights.py: {error}")
    print(f"Row for gmconv_zoo/weights/specs.py:\n{spec_row(spec)}\nThen run scripts/make_cards.py and make_tables.py.")


if __name__ == "__main__":
    main()
