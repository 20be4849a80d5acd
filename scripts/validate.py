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
from gmconv_zoo.classify.validation_run import run_validation
from gmconv_zoo.classify.validation_settings import ValidationSettings
from gmconv_zoo.data.eval_data import open_eval_data

SETTINGS = (
    ("--batch-size", {"type": int, "help": "images per forward pass of each process (128)"}),
    ("--workers", {"type": int, "help": "loader processes of each process (2)"}),
    ("--precision", {"choices": ("float32", "bf16", "fp16"), "help": "automatic mixed precision (float32: none)"}),
    ("--channels-last", {"action": "store_true", "help": "memory format of kernels and images"}),
    ("--compile", {"action": "store_true", "help": "use torch.compile"}),
    ("--fuse", {"action": "store_true", "help": "fold static masks into their kernels first"}),
    ("--retry", {"action": "store_true", "help": "halve the batch when memory does not suffice"}),
    ("--skip-bad", {"action": "store_true", "help": "leave unreadable images out, and count them"}),
    ("--test-input-size", {"action": "store_true", "help": "the model's test size and crop, where it has them"}),
    ("--img-size", {"type": int, "help": "side in pixels, instead of the model's own; likewise the following"}),
    ("--crop-pct", {"type": float}),
    ("--crop-mode", {"choices": ("center", "squash", "border")}),
    ("--interpolation", {"choices": ("bilinear", "bicubic", "nearest")}),
    ("--mean", {"type": float, "nargs": "+"}),
    ("--std", {"type": float, "nargs": "+"}),
)


def parse_args() -> tuple[argparse.Namespace, ValidationSettings]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--model", metavar="MODELS", nargs="+", default=[], help="with --verify all documented ones")
    parser.add_argument("--root", help="where a named data set lies")
    parser.add_argument("--split", default="validation", help="of the data set (%(default)s)")
    parser.add_argument("--labels", metavar="FILE", help="labels of a flat folder of images")
    parser.add_argument("--id-map", metavar="FILE", help="meta.mat or map_clsloc.txt, if not beside --labels")
    parser.add_argument("--num-samples", type=int, help="images in a wds/ stream, where its index does not say it")
    parser.add_argument("--verify", action="store_true", help="compare with the documented accuracy")
    parser.add_argument("--output", metavar="FOLDER", help="for summary.csv and results.json")
    parser.add_argument("--cpu", action="store_true", help="leave GPUs alone")
    for name, options in SETTINGS:
        parser.add_argument(name, default=argparse.SUPPRESS, **options)
    args = parser.parse_args()
    names = [name.removeprefix("--").replace("-", "_") for name, _ in SETTINGS]
    try:
        return args, ValidationSettings(**{name: getattr(args, name) for name in names if hasattr(args, name)})
    except ValueError as error:
        parser.error(str(error))


def main() -> int:
    args, settings = parse_args()
    where = {"root": args.root, "split": args.split, "labels": args.labels, "id_map": args.id_map}
    try:
        source = open_eval_data(args.data, **where, num_samples=args.num_samples)
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
