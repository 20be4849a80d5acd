"""Count how many images of a dataset models classify correctly: exactly, on one or several processes.

DATA is a folder with one folder per class, a flat folder with --labels, or torch/NAME, hfds/NAME or wds/NAME.
MODELS are timm names, patterns of names, folders that gmconv_zoo.save wrote (or that contain such folders), folders of
unfinished trainings, checkpoints, or Hub repositories. If a model fails, its row contains the error, and the others are
still evaluated. The exit status is 1 if a model failed or, with --verify, if an accuracy on the full ImageNet
validation set differs from the documented one by more than 0.1 points.

Example:
    gmconv validate imagenet/val --model gmconv_resnet18.from_tv_in1k
    gmconv validate photos --model output/finetuned --precision bf16 --output output/validated
    gmconv validate flat --labels ILSVRC2012_validation_ground_truth.txt --model 'gmconv_*' --verify
    torchrun --nproc-per-node 2 scripts/validate.py torch/cifar10 --data-dir data --model output/resnet20
"""

import argparse
import logging
from dataclasses import fields

from torch import distributed

from ..validation.settings import ValidationSettings
from .common import DEVICE_OR_CPU, WEIGHTS, adder
from .recipe_options import add_column_options, add_field_options


def add_options(parser: argparse.ArgumentParser) -> None:
    add = adder(parser)
    add("data", metavar="DATA", help="folder, tar file, torch/NAME, hfds/NAME, hfids/NAME or wds/NAME")
    add(
        "--model", metavar="MODELS", nargs="+", default=[], help="models (default: none; with --verify, all documented)"
    )
    add("--weights", **WEIGHTS)
    add("--data-dir", help="folder that holds a named dataset (default: none)")
    add("--split", default="validation", help="split of the dataset")
    add("--labels", metavar="FILE", help="labels of a flat folder of images (default: none)")
    add("--num-samples", type=int, help="images in a wds/ stream (default: what its index says)")
    add("--classes", metavar="FILE", help="class names in the order of the labels (default: the dataset's)")
    add_column_options(parser)
    add("--verify", action="store_true", help="compare with the documented accuracy")
    add("--output", metavar="FOLDER", help="folder for summary.csv and results.json (default: nothing is written)")
    add("--overwrite", action="store_true", help="write into a folder that contains other files")
    add("--device", **DEVICE_OR_CPU)
    _add_settings(parser)


def main(args: argparse.Namespace) -> int:
    from ..data.eval_data import open_eval_data
    from ..saving.targets import check_target
    from ..validation.run import REPORT_FILES, run_validation

    logging.basicConfig(format="%(levelname)s: %(message)s")
    if args.output is not None:
        check_target(args.output, writes=REPORT_FILES, overwrite=args.overwrite)
    given = [field.name for field in fields(ValidationSettings) if hasattr(args, field.name)]
    settings = ValidationSettings(**{name: getattr(args, name) for name in given})
    names = ("split", "labels", "num_samples", "classes", "image_column", "label_column", "output")
    source = open_eval_data(args.data, root=args.data_dir, **{name: getattr(args, name) for name in names})
    where = {"output": args.output, "cpu": args.device == "cpu"}
    report = run_validation(args.model, source, settings, verify=args.verify, **where)
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
    if report.text:
        print(report.text)
    return report.status


# The fields of `ValidationSettings` that say how images are read and prepared
_IMAGES = ("skip_bad", "train_input_size", "image_size", "crop_pct", "crop_mode", "interpolation")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """Add an option for each field of `ValidationSettings` but the weights."""
    values = {field.name: field.default for field in fields(ValidationSettings) if field.name != "weights"}
    shown = {name: "the model's own" if value is None else str(value) for name, value in values.items()}
    computing = [name for name in values if name not in _IMAGES]
    add_field_options(parser.add_argument_group("device and speed"), ValidationSettings, computing, shown)
    add_field_options(parser.add_argument_group("images"), ValidationSettings, _IMAGES, shown)
