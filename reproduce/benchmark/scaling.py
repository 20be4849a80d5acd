"""How the cost grows with batch, image, kernel, number of masked layers and processes, beside the standard network."""

import logging
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import nn

from gmconv_zoo.conversion import convert
from gmconv_zoo.files.records import environment, write_json

from .measure import measure
from .plans import BenchmarkSettings
from .processes import process_rows
from .subjects import STANDARD, build_subject

__all__ = ["run_scaling", "scaling_rows"]

AXES: dict[str, tuple[int, ...]] = {
    "batch": (1, 4, 16, 64, 256),
    "image size": (32, 64, 128, 256, 512),
    "kernel size": (3, 5, 7, 9, 11),
    "masked layers": (1, 2, 4, 8, 16, 32),
}
PROCESSES = (1, 2)
_KINDS = ("sgmconv", "gmconv")
_logger = logging.getLogger(__name__)


def run_scaling(path: Path, *, device: str = "cpu", busy: bool = False) -> Path:
    """Measure along every axis, write a JSON file and draw a picture (.png) of the same name.

    This takes a few minutes on two cores, which processes that share the work need.
    """
    settings = BenchmarkSettings((), _KINDS, device=device, seconds=1.0, rounds=3, busy=busy)
    rows = scaling_rows(settings)
    for count in PROCESSES if device == "cpu" else ():
        found = process_rows((STANDARD, *_KINDS), count, seconds=settings.seconds, rounds=settings.rounds)
        rows += [{"axis": "processes", "value": count, **row} for row in found]
        for row in found:
            _logger.info("processes %d, %s: %s %.1f ms", *(count, row["task"], row["kind"], row["milliseconds"]))
    write_json(path.with_suffix(".json"), {"environment": environment(), "settings": asdict(settings), "rows": rows})
    _draw(rows, path)
    return path


def scaling_rows(settings: BenchmarkSettings, axes: dict[str, tuple[int, ...]] = AXES) -> list[dict[str, Any]]:
    """Time training steps along some axes: one row per point and kind, with "axis" and "value"."""
    rows = []
    for axis, values in axes.items():
        for value in values:
            models, shape = _point(axis, value)
            found = measure(models, torch.randn(shape, device=settings.device), "training", settings)
            rows += [{"axis": axis, "value": value, **row} for row in found]
            speeds = ", ".join(f"{row['kind']} {row['milliseconds']:.1f} ms" for row in found)
            _logger.info("%s %d: %s", axis, value, speeds)
    return rows


def _point(axis: str, value: int) -> tuple[dict[str, nn.Module], tuple[int, int, int, int]]:
    """The standard model and its twins, and the input's shape."""
    if axis in ("batch", "image size"):
        shape = (value, 3, 64, 64) if axis == "batch" else (2, 3, value, value)
        return {kind: build_subject("resnet18", kind) for kind in (STANDARD, *_KINDS)}, shape
    depth, kernel, shape = (2, value, (8, 3, 64, 64)) if axis == "kernel size" else (value, 3, (8, 3, 32, 32))
    chain = _chain(depth, kernel=kernel)
    return {STANDARD: chain, "sgmconv": convert(chain, stem="static"), "gmconv": convert(chain, stem="dynamic")}, shape


def _chain(depth: int, *, kernel: int, width: int = 32) -> nn.Module:
    """As many convolutions and ReLUs, then a classifier."""

    def layers() -> Iterator[nn.Module]:
        for index in range(depth):
            yield nn.Conv2d(3 if index == 0 else width, width, kernel, padding=kernel // 2)
            yield nn.ReLU()

    return nn.Sequential(*layers(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


# What the upper and the lower plot of an axis show: key of a row, its unit, and the task where rows have one.
_MEASURES = (("milliseconds", "training step (ms)", "training"), ("peak_mib", "peak memory (MiB)", None))
_SHARED = (("milliseconds", "training step (ms)", "training"), ("milliseconds", "validation batch (ms)", "validation"))


def _draw(rows: list[dict[str, Any]], path: Path) -> None:
    axes = list(dict.fromkeys(row["axis"] for row in rows))
    figure = Figure(figsize=(3.4 * len(axes), 5.6), layout="constrained")
    grid = figure.subplots(2, len(axes), squeeze=False)
    for column, axis in enumerate(axes):
        here = [row for row in rows if row["axis"] == axis]
        for line, (key, label, task) in enumerate(_SHARED if axis == "processes" else _MEASURES):
            plot = grid[line][column]
            for kind, style in ((STANDARD, "k-"), ("sgmconv", "C0--"), ("gmconv", "C1:")):
                chosen = [row for row in here if row["kind"] == kind and row.get("task", task) == task]
                points = [(row["value"], row[key]) for row in chosen]
                plot.plot(*zip(*points, strict=True), style, marker="o", markersize=3, label=kind)
            plot.set(xscale="log", xlabel=axis, xticks=[row["value"] for row in here])
            plot.get_xaxis().set_major_formatter("{x:.0f}")
            plot.minorticks_off()
            if line == 0 and axis != "processes":
                plot.set_yscale("log")
            else:
                plot.set_ylim(bottom=0)
            if column == 0 or axis == "processes":
                plot.set_ylabel(label)
    grid[0][0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
