"""Count how many images of a set models classify correctly: exactly, on one or several processes.

DATA is a folder with one folder per class, a flat folder with --labels, or torch/NAME, hfds/NAME, wds/NAME with --root.
MODELS are timm names, patterns of names, folders that gmconv_zoo.save wrote (or that hold such folders), folders of
trainings that have not ended, checkpoints, or Hub repositories. A model that fails keeps its row, and the others go on.
The exit status is 1 when one failed or, with --verify, a documented accuracy is not met within 0.1 points on the full
ImageNet validation set.

Example:
    python scripts/validate.py imagenet/val --model gmconv_resnet18.from_tv_in1k
    python scripts/validate.py photos --model output/finetuned --precision bf16 --output output/validated
    python scripts/validate.py flat --labels ILSVRC2012_validation_ground_truth.txt --model 'gmconv_*' --verify
    torchrun --nproc-per-node 2 scripts/validate.py torch/cifar10 --root data --model output/resnet20
"""

import argparse
import logging
import sys

from torch import distributed

import gmconv_zoo  # noqa: F401  registers the models
from gmconv_zoo.classify.recipe_options import add_column_options
from gmconv_zoo.classify.validation_options import add_validation_options, validation_settings
from gmconv_zoo.classify.validation_run import run_validation
from gmconv_zoo.data.eval_data import open_eval_data


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--model", metavar="MODELS", nargs="+", default=[], help="with --verify all documented ones")
    parser.add_argument("--root", help="where a named data set lies")
    parser.add_argument("--split", default="validation", help="of the data set (%(default)s)")
    parser.add_argument("--labels", metavar="FILE", help="labels of a flat folder of images")
    parser.add_argument("--id-map", metavar="FILE", help="meta.mat or map_clsloc.txt, if not beside --labels")
    parser.add_argument("--num-samples", type=int, help="images in a wds/ stream, where its index does not say it")
    parser.add_argument("--classes", metavar="FILE", help="class names in the order of the labels, for a set without")
    add_column_options(parser)
    parser.add_argument("--verify", action="store_true", help="compare with the documented accuracy")
    parser.add_argument("--output", metavar="FOLDER", help="for summary.csv and results.json")
    parser.add_argument("--cpu", action="store_true", help="leave GPUs alone")
    add_validation_options(parser)
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    names = ("root", "split", "labels", "id_map", "num_samples", "classes", "image_column", "label_column", "output")
    try:
        settings = validation_settings(args)
        source = open_eval_data(args.data, **{name: getattr(args, name) for name in names})
        report = run_validation(args.model, source, settings, output=args.output, verify=args.verify, cpu=args.cpu)
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"validate.py: {error}")
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
    if report.text:
        print(report.text)
    return report.status


if __name__ == "__main__":
    logging.basicConfig(format="%(levelname)s: %(message)s")
    sys.exit(main())
