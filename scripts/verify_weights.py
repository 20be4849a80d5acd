"""Check the pretrained weights in the cache against their hashes, without the network.

NAMES are model.tag names, model names or patterns; all weights by default. The exit status is 1 when a file is not what
it should be; it is left where it is, and loading it is refused.

Example:
    python scripts/verify_weights.py
    python scripts/verify_weights.py gmconv_resnet18 '*alexnet*' --missing
"""

from gmconv_zoo.cli.command import make_parser, one_line_errors, run

with one_line_errors():
    from gmconv_zoo.hub import verify


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("names", metavar="NAMES", nargs="*", help="default: all weights")
    parser.add_argument("--cache-dir", metavar="FOLDER", help="cache to check (default: the Hub's and torch.hub's)")
    parser.add_argument("--missing", action="store_true", help="also list weights that are not in the cache")
    args = parser.parse_args()
    try:
        records = verify(args.names or None, cache_dir=args.cache_dir)
    except ValueError as error:
        parser.error(str(error))
    shown = [record for record in records if args.missing or record.status != "missing"]
    width = max((len(record.name) for record in shown), default=0)
    for record in shown:
        print(f"{record.name:{width}}  {record.status:10}  {record.path or record.detail}")
        if record.status not in ("ok", "missing"):
            print(f"{'':{width}}  {'':10}  {record.detail}")
    bad = sum(record.is_bad for record in records)
    print(f"{len(records)} weights, {sum(record.path is not None for record in records)} in the cache, {bad} bad")
    return 1 if bad else 0


if __name__ == "__main__":
    run(main)
