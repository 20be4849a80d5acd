"""Time a training on prepared batches, on images in memory and on files: does it wait for its images?

With --record the figures are kept in results/input.json and shown in docs/training.md; a quarter of an hour on two
cores that have nothing else to do.

Example:
    python scripts/input_share.py --record
    python scripts/input_share.py --net gmconv_resnet50 --batch-size 16 --rounds 3
"""

import argparse
import json
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory

from gmconv_zoo.cli.command import make_parser, one_line_errors, run

with one_line_errors():
    from gmconv_zoo.engine.records import write_json
    from gmconv_zoo.experiments.input_share import InputSettings, input_table, measure_input
    from gmconv_zoo.markdown import with_block

ROOT = Path(__file__).parents[1]
RECORD, PAGE = ROOT / "results" / "input.json", ROOT / "docs" / "training.md"


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--net", default=InputSettings.net, help="a name timm knows (default: %(default)s)")
    add("--images", type=int, default=InputSettings.images, help="files to make (default: %(default)s)")
    add(
        "--size",
        type=int,
        nargs=2,
        default=InputSettings.size,
        metavar=("WIDTH", "HEIGHT"),
        help="default: %(default)s",
    )
    add("--batch-size", type=int, default=InputSettings.batch_size, help="default: %(default)s")
    add("--rounds", type=int, default=InputSettings.rounds, help="epochs of each kind (default: %(default)s)")
    add("--record", action="store_true", help=f"write {RECORD.name} and the table of {PAGE.name}")
    add("--tables", action="store_true", help="measure nothing; write the table from the record")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.tables:
        record = json.loads(RECORD.read_text(encoding="utf-8"))
    else:
        settings = {field.name: getattr(args, field.name) for field in fields(InputSettings)}
        settings["size"] = tuple(args.size)
        with TemporaryDirectory() as folder:
            record = measure_input(Path(folder), InputSettings(**settings), say=print)
    if args.record:
        write_json(RECORD, record)
    if args.record or args.tables:
        PAGE.write_text(with_block(PAGE, "input", input_table(record)), encoding="utf-8")
    print(input_table(record))


if __name__ == "__main__":
    run(main)
