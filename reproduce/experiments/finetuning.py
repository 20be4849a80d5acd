"""Finetune several networks on several datasets at several learning rates; every run becomes a row of a CSV file.

Runs that are recorded already are not repeated. The digits and the networks for CIFAR-10 come with the package. For
any other network, pass the weights of the plain one: it is converted for the families with masks.

Example:
    python -m reproduce.experiments.finetuning --net mobilenetv2 --weights FOLDER --data flowers=FOLDER \\
        --sets flowers:50 flowers --rates 0.003 0.01 0.03 --image-size 128
    python -m reproduce.experiments.finetuning --net cifar_resnet20 --sets digits:30 --families plain gmconv
    python -m reproduce.experiments.finetuning --net convnext_atto --weights FOLDER --data flowers=FOLDER \\
        --sets flowers:5 flowers:50 --image-size 128 --seeds 0 1 2
"""

import argparse
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from accelerate.utils import set_seed
from PIL import Image
from torch import nn

from gmconv_zoo.classify.loading import make_loaders
from gmconv_zoo.classify.networks import start_network
from gmconv_zoo.classify.recipes import FINETUNE, Recipe, finetuning_recipe
from gmconv_zoo.classify.task import fit_classifier
from gmconv_zoo.cli.command import run
from gmconv_zoo.conversion import convert
from gmconv_zoo.data.sources import ImageData, open_data
from gmconv_zoo.demo.digits import digits
from gmconv_zoo.device import PRECISIONS
from gmconv_zoo.engine.fit import best_row, default_accelerator
from gmconv_zoo.engine.freeze import freeze_parts
from gmconv_zoo.engine.task import FitOptions
from gmconv_zoo.files.records import environment
from gmconv_zoo.images.image_source import ImageSource
from gmconv_zoo.models._names import plain_name

from .datasets import write_folder
from .finetuning_records import FinetuningRun, write_finetuning
from .records import read_records

__all__ = ["main"]

FAMILIES = ("plain", "sgmconv", "gmconv")
STATISTICS = ("kept", "batch")
DECAYS = {"sgd": 5e-4, "adamw": 0.05}
STARTS = ("pretrained", "frozen", "random")
_CIFAR = {
    "plain": "stdconv_cifar_resnet20.cifar10",
    "sgmconv": "sgmconv_cifar_resnet20.gm_cifar10",
    "gmconv": "gmconv_cifar_resnet20.gm_cifar10",
}


def _finetune(wanted: FinetuningRun, images: ImageData, weights: str | None, *, val_every: int) -> FinetuningRun:
    """Finetune and return the run with its result; without weights, from the package's own CIFAR network."""
    if wanted.per_class is not None:
        images = replace(images, train=_few(images.train, wanted.per_class, wanted.seed))
    recipe = _recipe(len(images.train), wanted)
    set_seed(wanted.seed)
    net = _network(wanted, len(images.classes), weights)
    freeze_parts(net, (), backbone=wanted.start == "frozen")
    accelerator = default_accelerator(mixed_precision=wanted.precision)
    loaders = make_loaders(net, images, recipe, seed=wanted.seed, drop_last=True, accelerator=accelerator)
    options = FitOptions(seed=wanted.seed, val_every=val_every, progress=False)
    began = time.perf_counter()
    result = fit_classifier(net, loaders, recipe, options, accelerator=accelerator)
    best, found = best_row(result.rows, "top1"), environment()
    return replace(
        wanted,
        batch=recipe.batch_size,
        best_epoch=best["epoch"],
        correct=best["val_top1"],
        count=result.score.count,
        curve=" ".join(f"{row['epoch']}:{row['val_top1']}" for row in result.rows if "val_top1" in row),
        seconds=round(time.perf_counter() - began, 1),
        commit=found["commit"] or "",
        device=found["gpu"] or f"{found['processor']}, {found['cores']} cores",
    )


def _recipe(images: int, wanted: FinetuningRun) -> Recipe:
    """The finetuning recipe with the run's optimizer and rate, all epochs of it, and no mirrored digits."""
    changes = {
        "epochs": wanted.epochs,
        "patience": None,
        "freeze_statistics": wanted.statistics == "kept",
        "optimizer": wanted.optimizer,
        "weight_decay": DECAYS[wanted.optimizer],
        "layer_decay": wanted.layer_decay,
        **({} if wanted.lr is None else {"lr": wanted.lr}),
        **({"flip": False} if wanted.dataset == "digits" else {}),
    }
    return finetuning_recipe(images, changes, random_start=wanted.start == "random")


def _network(wanted: FinetuningRun, classes: int, weights: str | None) -> nn.Module:
    build = partial(start_network, classes=classes, image_size=wanted.image_size)
    if wanted.start == "random":
        name = plain_name(wanted.net) if wanted.family == "plain" else f"{wanted.family}_{wanted.net}"
        return build(name, pretrained=False)
    if weights is None and wanted.sigma_init:
        raise ValueError(
            "the weights that ship have their sigmas: leave --sigma-init out, or pass --weights to convert."
        )
    if weights is None and wanted.net == "cifar_resnet20":
        return build(_CIFAR[wanted.family])
    if weights is None:
        raise ValueError(f"{wanted.net} needs weights to start from: pass a folder or a name of timm's (--weights).")
    net = build(weights)
    if wanted.family == "plain":
        return net
    sigma = wanted.sigma_init
    start: dict[str, Any] = {"sigma_init": sigma if sigma == "kernel" else float(sigma)} if sigma else {}
    return convert(net, stem="static" if wanted.family == "sgmconv" else "dynamic", **start)


def _few(source: ImageSource, per_class: int, seed: int) -> ImageSource:
    """As many images of every class, drawn with a seed."""
    by_class: dict[int, list[int]] = {}
    for index, label in enumerate(source.labels):
        by_class.setdefault(label, []).append(index)
    drawn = random.Random(seed)
    chosen = [index for members in by_class.values() for index in sorted(drawn.sample(members, per_class))]
    return source.part(chosen)


def _digits_folder(folder: Path) -> Path:
    if not folder.is_dir():
        data = digits()
        parts = {"train": (data.train_images, data.train_labels), "val": (data.held_out_images, data.held_out_labels)}
        files = (
            (f"{split}/{label}/{number:05d}.png", Image.fromarray(image.permute(1, 2, 0).numpy()))
            for split, (pixels, labels) in parts.items()
            for number, (image, label) in enumerate(zip(pixels, labels.tolist(), strict=True))
        )
        write_folder(folder, files)
    return folder


def _planned(args: argparse.Namespace) -> Iterator[FinetuningRun]:
    names = ("net", "start", "image_size", "statistics", "optimizer", "layer_decay", "epochs")
    common = {name: getattr(args, name) for name in names}
    common |= {"batch": 0, "precision": "no" if args.precision == "float32" else args.precision}
    for seed, name, family, rate in product(args.seeds, args.sets, args.families, args.rates):
        sigma = "" if family == "plain" else args.sigma_init
        dataset, _, per_class = name.partition(":")
        images = {"dataset": dataset, "per_class": int(per_class) if per_class else None}
        yield FinetuningRun(**common, **images, family=family, lr=rate, sigma_init=sigma, seed=seed)


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--net", default="cifar_resnet20", help="network, without the family (default: %(default)s)")
    add("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES, help="masks (default: all)")
    add("--statistics", default="kept", choices=STATISTICS, help="of batch norms, as they are or of each batch")
    add("--optimizer", default=FINETUNE.optimizer, choices=tuple(DECAYS), help="optimizer (default: %(default)s)")
    add("--start", default=STARTS[0], choices=STARTS, help="weights, and what is trained (default: %(default)s)")
    add("--weights", metavar="MODEL", help="folder or name of the plain network with its weights")
    add("--sigma-init", default="", metavar="SIGMA", help='taps, or "kernel", for masks on --weights (default: 5)')
    add("--data", nargs="+", default=[], metavar="NAME=FOLDER", help="image folders with train and val")
    add("--sets", nargs="+", default=["digits"], metavar="SET", help="digits or NAME, or NAME:IMAGES of each class")
    add("--rates", nargs="+", type=float, default=[None], metavar="R", help="learning rates (default: the recipe's)")
    add("--layer-decay", type=float, default=FINETUNE.layer_decay, help="of the learning rate (default: %(default)s)")
    add("--seeds", nargs="+", type=int, default=[0], metavar="N", help="seeds (default: 0)")
    add("--epochs", type=int, default=FINETUNE.epochs, help="epochs (default: %(default)s)")
    add("--val-every", type=int, default=1, metavar="N", help="evaluate after so many epochs (default: %(default)s)")
    add("--image-size", type=int, default=32, help="side of the images in pixels (default: %(default)s)")
    add("--precision", default="float32", choices=tuple(PRECISIONS), help="mixed precision (default: %(default)s)")
    add("--results", type=Path, default=Path("results/finetune.csv"), help="the CSV file (default: %(default)s)")
    add("--output", type=Path, default=Path("output/finetuning"), help="holds the digits (default: %(default)s)")


def main(args: argparse.Namespace) -> int:
    folders = dict(pair.split("=", 1) for pair in args.data)
    for wanted in _planned(args):
        place = folders.get(wanted.dataset)
        if place is None and wanted.dataset != "digits":
            raise ValueError(f"the folder of {wanted.dataset} is unknown: pass it with --data {wanted.dataset}=FOLDER.")
        images = open_data(place or _digits_folder(args.output / "digits"))
        size = len(images.classes) * wanted.per_class if wanted.per_class else len(images.train)
        recipe = _recipe(size, wanted)
        wanted = replace(wanted, batch=recipe.batch_size, lr=recipe.lr)
        recorded = read_records(args.results, FinetuningRun)
        if wanted.key in {known.key for known in recorded}:
            continue
        done = _finetune(wanted, images, args.weights, val_every=args.val_every)
        write_finetuning(args.results, [*recorded, done])
        print(*done.setting, f"{done.lr:g}, seed {done.seed}: {done.curve}", flush=True)
    return 0


if __name__ == "__main__":
    run("python -m reproduce.experiments.finetuning", __doc__, add_options, main)
