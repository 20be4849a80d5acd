"""Check the pretrained weights in the cache against their hashes, without a connection.

NAMES are model.tag names, model names or patterns; all weights by default. The exit status is 1 if a file is not what
it should be. Such a file is not deleted, but loading it is refused.

Example:
    gmconv verify
    gmconv verify gmconv_resnet18 '*alexnet*' --missing
"""

import argparse


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAMES", nargs="*", help="names or patterns (default: all weights)")
    parser.add_argument("--cache-dir", metavar="FOLDER", help="cache to check (default: the Hub's and torch.hub's)")
    parser.add_argument("--missing", action="store_true", help="also list weights that are not in the cache")


def main(args: argparse.Namespace) -> int:
    from ..hub import verify

    records = verify(args.names or None, cache_dir=args.cache_dir)
    shown = [record for record in records if args.missing or record.status != "missing"]
    width = max((len(record.name) for record in shown), default=0)
    for record in shown:
        print(f"{record.name:{width}}  {record.status:10}  {record.path or record.detail}")
        if record.status not in ("ok", "missing"):
            print(f"{'':{width}}  {'':10}  {record.detail}")
    bad = sum(record.is_bad for record in records)
    print(f"{len(records)} weights, {sum(record.path is not None for record in records)} in the cache, {bad} bad")
    return int(bad > 0)
