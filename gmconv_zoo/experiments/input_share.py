"""How much of a training's time goes into reading and augmenting images: timed beside training on prepared ones."""

import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import resolve_model_data_config
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from ..classify.loading import Loaders, make_loaders
from ..classify.recipes import FINETUNE
from ..classify.train import train
from ..data.sources import open_data
from ..engine.records import environment
from ..markdown import table

__all__ = ["InputSettings", "input_table", "make_images", "measure_input"]

_logger = logging.getLogger(__name__)

PREPARED, MEMORY, FILES = "prepared batches", "images in memory", "files read at every use"
_CLASSES = ("a", "b")


@dataclass(frozen=True, kw_only=True)
class InputSettings:
    """What is timed.

    Attributes:
        net: a name timm knows.
        images: to train on, JPEG files.
        size: width and height of the files in pixels; ImageNet's are 500 x 375 in the median.
        batch_size: images per step.
        rounds: times that each kind is trained on, by turns, for two epochs of which the second is timed.
    """

    net: str = "gmconv_resnet18"
    images: int = 256
    size: tuple[int, int] = (500, 375)
    batch_size: int = 32
    rounds: int = 5


def make_images(folder: Path, settings: InputSettings) -> float:
    """Write JPEG files of blurred and fine noise into ``folder``/train and a few into ``folder``/val.

    Args:
        folder: created when missing.
        settings: how many, and their size.

    Returns:
        The mean size of a file in bytes.
    """
    rng = np.random.default_rng(0)
    width, height = settings.size
    sizes = []
    for part, count in (("train", settings.images), ("val", 2 * len(_CLASSES))):
        for index in range(count):
            path = folder / part / _CLASSES[index % len(_CLASSES)] / f"{index:05}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            coarse = Image.fromarray(rng.integers(0, 256, (height // 25, width // 25, 3), dtype=np.uint8))
            pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
            pixels = (pixels + rng.integers(-24, 25, pixels.shape, dtype=np.int16)).clip(0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(path, quality=90)
            sizes.append(path.stat().st_size)
    return statistics.mean(sizes)


def measure_input(
    folder: Path, settings: InputSettings, *, say: Callable[[str], None] = _logger.info
) -> dict[str, Any]:
    """Train by turns on prepared batches, on images in memory and on files.

    Args:
        folder: an empty one, for the image files.
        settings: network, images and rounds.
        say: receives one line of text after each training.

    Returns:
        JSON-ready "environment", "settings", "image_side" (pixels the network sees), "file_bytes" and "rows". A row has
        the "kind", the medians of the loader's own milliseconds per image ("loader_ms", with nothing else at work;
        None for prepared batches) and of a training's ("training_ms"), of this one's "ratio" to that on prepared
        batches in the same round, with quartiles, and of the share of it that was "waited" for images.

    Raises:
        ValueError: for a network that timm does not know, or settings that make no batch.
    """
    if not timm.is_model(settings.net):
        raise ValueError(f"net={settings.net!r}: timm knows no such network (--net).")
    if settings.rounds < 1:
        raise ValueError(f"rounds={settings.rounds}: pass at least 1 (--rounds).")
    if not 0 < settings.batch_size <= settings.images:
        raise ValueError(
            f"batch_size={settings.batch_size}, images={settings.images}: no batch can be made of that (--batch-size)."
        )
    where = environment()
    file_bytes = make_images(folder, settings)
    recipe = FINETUNE.override(epochs=2, batch_size=settings.batch_size, warmup_epochs=0.0, patience=None)
    data = open_data(folder)
    model = timm.create_model(settings.net, num_classes=len(_CLASSES))
    found = {
        MEMORY: make_loaders(model, data, recipe, memory_gb=64.0, drop_last=True),
        FILES: make_loaders(model, data, recipe, memory_gb=0.0, drop_last=True),
    }
    batches = {PREPARED: _prepared(found[MEMORY], settings.batch_size), **{key: found[key].train for key in found}}
    val = found[MEMORY].val
    images = len(batches[MEMORY]) * settings.batch_size
    timed: dict[str, list[tuple[float, float]]] = {kind: [] for kind in batches}
    for number in range(settings.rounds):
        for kind, loader in batches.items():
            row = train(model, loader, val, recipe, seed=number, progress=False).rows[-1]
            timed[kind].append((row["seconds"], row["data_seconds"]))
            say(f"round {number}, {kind}: {1000 * row['seconds'] / images:.1f} ms per image")
    alone = {kind: _loader_ms(loader, settings.rounds) for kind, loader in batches.items() if kind != PREPARED}
    rows = [_row(kind, alone.get(kind), timed[kind], timed[PREPARED], images) for kind in batches]
    where["device"] = str(next(model.parameters()).device)
    side = resolve_model_data_config(model)["input_size"][1]
    described = {"settings": asdict(settings), "image_side": side, "file_bytes": round(file_bytes)}
    return {"environment": where, **described, "rows": rows}


def input_table(record: dict[str, Any]) -> str:
    """Markdown of what `measure_input` gave."""
    rows = []
    for row in record["rows"]:
        low, high = row["ratio_quartiles"]
        loader = "-" if row["loader_ms"] is None else f"{row['loader_ms']:.1f}"
        ratio = "1" if row["kind"] == PREPARED else f"{row['ratio']:.3f} ({low:.3f} to {high:.3f})"
        rows.append((row["kind"], loader, f"{row['training_ms']:.1f}", ratio, f"{100 * row['waited']:.1f} %"))
    columns = ("trained on", "loader alone, ms per image", "training, ms per image", "ratio", "waited for images")
    settings, where = record["settings"], record["environment"]
    width, height = settings["size"]
    side = record["image_side"]
    return (
        f"{table(columns, rows, right=(1, 2, 3, 4))}\n\n{settings['net']} at {side} x {side}, batches of "
        f"{settings['batch_size']}, float32; {settings['images']} made JPEGs of {width} x {height} pixels and "
        f"{record['file_bytes'] / 1000:.0f} KB. The ratio is to prepared batches in the same round: median of "
        f"{settings['rounds']}, and quartiles. {where['gpu'] or where['processor']}, {where['cores']} cores, torch "
        f"{where['torch']}, timm {where['timm']}."
    )


def _prepared(loaders: Loaders, batch_size: int) -> DataLoader[Any]:
    """The loader's images, augmented once, as tensors."""
    images, labels = (torch.cat(parts) for parts in zip(*loaders.train, strict=True))
    held = TensorDataset(images, labels)
    return DataLoader(held, batch_size, drop_last=True)


def _loader_ms(loader: DataLoader[tuple[Tensor, Tensor]], rounds: int) -> float:
    """Median milliseconds per image of a pass in which nothing else is done."""
    passes = []
    for number in range(rounds):
        loader.sampler.set_epoch(number)  # type: ignore[attr-defined]
        started, images = time.perf_counter(), 0
        for batch, _ in loader:
            images += len(batch)
        passes.append(1000 * (time.perf_counter() - started) / images)
    return round(statistics.median(passes), 3)


def _row(
    kind: str,
    loader_ms: float | None,
    timed: list[tuple[float, float]],
    prepared: list[tuple[float, float]],
    images: int,
) -> dict[str, Any]:
    ratios = [mine[0] / plain[0] for mine, plain in zip(timed, prepared, strict=True)]
    quartiles = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return {
        "kind": kind,
        "loader_ms": loader_ms,
        "training_ms": round(1000 * statistics.median(seconds for seconds, _ in timed) / images, 2),
        "ratio": round(statistics.median(ratios), 4),
        "ratio_quartiles": [round(quartiles[0], 4), round(quartiles[2], 4)],
        "waited": round(statistics.median(waited / seconds for seconds, waited in timed), 4),
    }
