"""Time training steps of detectors: torchvision's own, this package's standard one, and those with masks.

All of them start from the weights of torchvision's detector, and each trains on the same image with two boxes.

Example:
    python -m reproduce.benchmark.detectors --image-size 256 800 --busy --output results/benchmark/detectors.json
"""

import argparse
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from timm.layers import freeze_batch_norm_2d
from torch import nn
from torchvision.models.detection import fasterrcnn_resnet50_fpn

from gmconv_zoo.cli.command import run
from gmconv_zoo.detection import build_preset
from gmconv_zoo.files.records import environment, write_json
from gmconv_zoo.saving.targets import check_target

from ..markdown import table
from .clock import time_together

__all__ = ["TORCHVISION", "detector_rows", "detector_table"]

TORCHVISION, _STANDARD = "torchvision", "faster_std"
_PRESETS = (_STANDARD, "faster_gmconv_l1", "faster_gmconv_l1_l4")
_ASPECT = 4 / 3


def detector_rows(side: int, *, seconds: float = 10.0, rounds: int = 15, busy: bool = False) -> list[dict[str, Any]]:
    """Time a training step of every detector on one image beside this package's standard one, with a row for each.

    The shorter side of the image has so many pixels, the longer one a third more; the other arguments are as in
    `BenchmarkSettings`. A second standard detector shows the error of the measurement.
    """
    longer = round(side * _ASPECT)
    size: dict[str, Any] = {"min_size": side, "max_size": longer}
    ours = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, trainable_backbone_layers=5, **size)
    with torch.no_grad():
        for module in ours.modules():  # without this, outputs of random weights grow from block to block
            if isinstance(module, nn.BatchNorm2d):
                module.weight.fill_(0.5)
    weights = ours.state_dict()
    like: dict[str, Any] = {"parity": "torchvision", "weights": weights, "frozen_stages": -1, **size}
    detectors = {name: build_preset(name, **like) for name in _PRESETS}
    detectors |= {"faster_std again": build_preset(_STANDARD, **like), TORCHVISION: freeze_batch_norm_2d(ours)}
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(3, side, longer, generator=generator)
    boxes = torch.tensor([[0.1, 0.1, 0.5, 0.6], [0.4, 0.3, 0.9, 0.9]]) * torch.tensor([longer, side, longer, side])
    target = {"boxes": boxes, "labels": torch.tensor([3, 7])}
    steps = {name: _step(detector, image, target) for name, detector in detectors.items()}
    clock = time.process_time if busy else time.perf_counter
    timings = time_together(steps, torch.device("cpu"), seconds=seconds, min_rounds=rounds, clock=clock)
    return [{"detector": name, "side": side, **timings[name]} for name in detectors]


def detector_table(record: Mapping[str, Any]) -> str:
    """Return the speed of every detector relative to the standard one as a Markdown table, with its caption."""
    lines = [
        (
            *(f"`{row['detector']}`", str(row["side"]), f"{row['milliseconds']:,.0f}", f"{row['ratio']:.3f}"),
            *("{:.3f} to {:.3f}".format(*row["ratio_quartiles"]), str(row["rounds"])),
        )
        for row in record["rows"]
    ]
    columns = ("detector", "shorter side", "training step (ms)", "speed", "quartiles", "rounds")
    where, clock = record["environment"], "processor time of one thread" if record["busy"] else "time of all threads"
    caption = f"{where['processor']}, float32, one image, {clock}, torch {where['torch']}."
    return f"{table(columns, lines, right=(1, 2, 3, 4, 5))}\n\n{caption}"


def _step(detector: nn.Module, image: torch.Tensor, target: dict[str, torch.Tensor]) -> Callable[[], None]:
    trained = [parameter for parameter in detector.train().parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-6, momentum=0.9)

    def step() -> None:
        torch.manual_seed(0)  # which proposals are sampled
        loss = sum(detector([image], [target]).values())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--image-size", type=int, nargs="+", default=[256], help="shorter sides in pixels (default: 256)")
    add("--busy", action="store_true", help="processor time on one thread, where other work goes on")
    add("--output", type=Path, default=Path("output/detectors.json"), help="JSON file (default: %(default)s)")
    add("--overwrite", action="store_true", help="replace the file")


def _main(args: argparse.Namespace) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    check_target(args.output, overwrite=args.overwrite)
    if args.busy:
        torch.set_num_threads(1)
    rows = [row for side in args.image_size for row in detector_rows(side, busy=args.busy)]
    record = {"environment": environment(), "busy": args.busy, "rows": rows}
    write_json(args.output, record)
    print(detector_table(record))


if __name__ == "__main__":
    run("python -m reproduce.benchmark.detectors", __doc__, _add_options, _main)
