"""Classify images and print the most probable classes.

MODEL is a timm name with pretrained weights, a folder that gmconv_zoo.save wrote, or a Hub repository. IMAGES are
files, folders and patterns. The exit status is 1 when an image could not be read.

Example:
    python scripts/predict.py gmconv_resnet18.from_tv_in1k photo.jpg
    python scripts/predict.py ORG/NAME photos 'more/*.png' --top 3 --csv predictions.csv
"""

import argparse
import logging
import sys

import gmconv_zoo  # noqa: F401  registers the models
from gmconv_zoo.classify.predict import find_images, predict
from gmconv_zoo.classify.prediction_files import prediction_table, write_predictions_csv, write_predictions_json
from gmconv_zoo.saving.named import open_model


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("images", metavar="IMAGES", nargs="+")
    parser.add_argument("--top", type=int, default=5, help="classes per image")
    parser.add_argument("--batch-size", type=int, default=32, help="images per forward pass")
    parser.add_argument("--device", default="cpu", help='e.g. "cuda"')
    parser.add_argument("--csv", metavar="FILE", help="also write the predictions as CSV")
    parser.add_argument("--json", metavar="FILE", help="also write the predictions as JSON")
    args = parser.parse_args()
    logging.getLogger(predict.__module__).setLevel(logging.ERROR)  # the table names the images that cannot be read
    try:
        images = find_images(args.images)
        model = open_model(args.model)
        found = predict(model, images, topk=args.top, batch_size=args.batch_size, device=args.device)
        predictions = list(found)
        print(prediction_table(predictions))
        if args.csv:
            write_predictions_csv(predictions, args.csv)
        if args.json:
            write_predictions_json(predictions, args.json)
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"predict.py: {error}")
    return int(any(prediction.error for prediction in predictions))


if __name__ == "__main__":
    sys.exit(main())
