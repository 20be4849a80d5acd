"""Classify images and print the most probable classes.

MODEL is a timm name with pretrained weights, a folder that gmconv_zoo.save wrote, or a Hub repository. IMAGES are
files, folders and patterns. The files of --csv and --json are written before anything is printed. The exit status is
1 when an image could not be read.

Example:
    python scripts/predict.py gmconv_resnet18.from_tv_in1k photo.jpg
    python scripts/predict.py ORG/NAME photos 'more/*.png' --top 3 --csv predictions.csv
"""

import logging
import sys
from pathlib import Path

from gmconv_zoo.cli.command import make_parser, one_line_errors, run

with one_line_errors():
    from gmconv_zoo.classify.predict import find_images, predict
    from gmconv_zoo.classify.prediction_files import prediction_table, write_predictions_csv, write_predictions_json
    from gmconv_zoo.saving.named import open_model
    from gmconv_zoo.saving.targets import check_target


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("images", metavar="IMAGES", nargs="+")
    parser.add_argument("--top", type=int, default=5, help="classes per image (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=32, help="images per forward pass (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help='where to compute, e.g. "cuda" (default: %(default)s)')
    parser.add_argument("--csv", metavar="FILE", help="also write the predictions as CSV (default: do not)")
    parser.add_argument("--json", metavar="FILE", help="also write the predictions as JSON (default: do not)")
    parser.add_argument("--overwrite", action="store_true", help="replace files that --csv and --json name")
    args = parser.parse_args()
    logging.getLogger(predict.__module__).setLevel(logging.ERROR)  # the table names the images that cannot be read
    images = find_images(args.images)
    for option, path in (("--csv", args.csv), ("--json", args.json)):
        if path is not None:
            check_target(path, option, inputs=images, overwrite=args.overwrite)
    if args.csv and args.json and Path(args.csv).resolve() == Path(args.json).resolve():
        raise ValueError(f"--csv and --json both name {args.csv}: choose two files.")
    model = open_model(args.model)
    predictions = list(predict(model, images, topk=args.top, batch_size=args.batch_size, device=args.device))
    try:
        if args.csv:
            write_predictions_csv(predictions, args.csv)
        if args.json:
            write_predictions_json(predictions, args.json)
    finally:
        letters = sys.stdout.encoding or "utf-8"  # a terminal may lack some
        print(prediction_table(predictions).encode(letters, "backslashreplace").decode(letters))
    return int(any(prediction.error for prediction in predictions))


if __name__ == "__main__":
    run(main)
