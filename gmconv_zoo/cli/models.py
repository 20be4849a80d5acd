"""List the networks and their pretrained weights, with size, accuracy and whether the file is in the cache.

NAMES are names or patterns of networks, or of networks with a tag; all by default. The accuracy is what this project
measured with these weights, or else what their source publishes; --json says which.

Example:
    gmconv models
    gmconv models '*resnet50.*' --json
"""

import argparse
import json


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAMES", nargs="*", help="names or patterns (default: all networks)")
    parser.add_argument("--json", action="store_true", help="print JSON, with the origin of every accuracy")


def main(args: argparse.Namespace) -> None:
    from ..hub.listing import listed_models

    rows = listed_models(args.names)
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    heads = ("model", "parameters", "GMACs", "image size", "top-1 (%)", "dataset", "cached")
    lines = []
    for row in rows:
        size = (f"{row['parameters']:,}", f"{row['gmacs']:.3g}", str(row["image_size"]))
        accuracy = ("-" if row["top1"] is None else f"{row['top1']:.2f}", row["dataset"] or "-")
        name = f"{row['model']}.{row['tag']}".rstrip(".")
        lines.append((name, *size, *accuracy, "yes" if row["cached"] else "-"))
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    for line in (heads, *lines):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
