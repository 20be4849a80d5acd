"""Put a trained CIFAR network's weights into the package, and print their row for weights/specs.py.

The network is loaded and compared first; the accuracy is read from its results.json.

Example:
    python scripts/package_weights.py output/train --tag gm_cifar10 --dataset "CIFAR-10 test" --recipe "30 epochs"
"""

from gmconv_zoo.cli.command import make_parser, one_line_errors, run

with one_line_errors():
    from gmconv_zoo.classify.stem import measure_stem
    from gmconv_zoo.hub.measured import choose_measured
    from gmconv_zoo.hub.package import package
    from gmconv_zoo.hub.publish import spec_row
    from gmconv_zoo.saving import load
    from gmconv_zoo.weights.specs import Stem


def main() -> None:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="what scripts/train.py wrote")
    add("--tag", required=True, help='e.g. "gm_cifar10", "cifar10" for a network without masks')
    add("--dataset", default="", help='what was measured, e.g. "CIFAR-10 test" (default: as results.json says)')
    add("--source", default="trained from random weights", help="source in words (default: %(default)s)")
    add("--recipe", default="", help="how they were trained, in words (default: not said)")
    add("--data", metavar="DATA", help="validation images on which a dynamic stem is measured (default: not measured)")
    add("--overwrite", action="store_true", help="replace packaged weights of the same tag")
    args = parser.parse_args()
    measured = choose_measured(args.folder, dataset=args.dataset)
    effect = None if args.data is None else measure_stem(load(args.folder), args.data)
    stem = None if effect is None else Stem(effect.mask_spread, effect.live, effect.count, effect.changed)
    described = {"stem": stem, "source": args.source, "recipe": args.recipe, "overwrite": args.overwrite}
    spec = package(args.folder, args.tag, measured=measured, **described)
    print(f"Row for gmconv_zoo/weights/specs.py:\n{spec_row(spec)}\nThen run scripts/make_cards.py and make_tables.py.")


if __name__ == "__main__":
    run(main)
