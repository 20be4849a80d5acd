"""Train or finetune a classifier by a recipe."""

import datetime
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from ..engine.extras import needs_extra
from ..engine.loop import EpochCallback, TrainState, run_epochs
from ..engine.optim import build_optimizer, build_scheduler
from ..engine.records import Summary, write_results
from ..engine.sigma_log import SigmaLog
from .evaluate import Score, evaluate
from .recipes import Recipe

with needs_extra("train"):
    from accelerate import Accelerator
    from accelerate.utils import DataLoaderConfiguration, set_seed

__all__ = ["TrainResult", "default_accelerator", "train"]

_logger = logging.getLogger(__name__)

Loader = DataLoader[tuple[Tensor, Tensor]]
# Images that the sigmas of dynamic layers are logged on.
PROBE_IMAGES = 256


@dataclass(frozen=True)
class TrainResult:
    """What a run gave.

    Attributes:
        score: of the weights after the last epoch, on the validation images.
        rows: one per epoch, as in summary.csv.
        output: the folder written to, or None.
    """

    score: Score
    rows: list[dict[str, Any]]
    output: Path | None


def train(
    model: nn.Module,
    train_loader: Loader,
    val_loader: Loader,
    recipe: Recipe,
    *,
    output: str | Path | None = None,
    dataset: str = "",
    seed: int = 0,
    accelerator: Accelerator | None = None,
    channels_last: bool = True,
    callbacks: Sequence[EpochCallback] = (),
    progress: bool = True,
) -> TrainResult:
    """Train a classifier in place and evaluate it after every epoch.

    The validation images are only looked at: they choose neither an epoch nor a setting.

    Args:
        model: maps (B, C, H, W) images to (B, classes) logits. Moved to the accelerator's device.
        train_loader: gives images and int64 labels, ``recipe.batch_size`` of them over all processes.
        val_loader: the same for evaluation, unshuffled.
        recipe: every setting; its augmentation is the train loader's affair.
        output: folder for summary.csv and results.json, created when missing; None to write nothing.
        dataset: what the validation images are, for the record, e.g. "CIFAR-10 test".
        seed: of everything random beside the loaders' own.
        accelerator: device, precision, gradient accumulation and processes; None for accelerate's defaults in
            float32. It must split batches over processes (``split_batches=True``), as the default one does.
        channels_last: keep images and kernels in this memory format, which is faster on most devices.
        callbacks: run after each epoch before its row is recorded.
        progress: show a bar.

    Returns:
        The final score and the rows.

    Raises:
        ValueError: when loader and recipe disagree on the batch size, or the network has nothing to train.
        NonFiniteError: when loss or parameters stop being finite.
    """
    accelerator = accelerator or default_accelerator()
    _check_batch_size(train_loader, recipe, accelerator)
    set_seed(seed)
    probe = _probe_images(val_loader)
    state, train_loader, val_loader = _prepare(model, train_loader, val_loader, recipe, accelerator, channels_last)
    summary = Summary(output if accelerator.is_main_process else None)

    def validate(state: TrainState, row: dict[str, Any]) -> None:
        score = evaluate(state.model, val_loader, accelerator=accelerator)
        row.update({f"val_{key}": value for key, value in score.to_dict().items()})

    def record(state: TrainState, row: dict[str, Any]) -> None:
        summary.append(row)
        _logger.info("epoch %(epoch)d: train_loss %(train_loss).4f, val_top1 %(val_top1_percent).2f %%", row)

    def batch_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, int]:
        images, labels = batch
        if channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        return F.cross_entropy(model(images).float(), labels, label_smoothing=recipe.label_smoothing), len(labels)

    try:
        run_epochs(
            state,
            train_loader,
            epochs=recipe.epochs,
            batch_loss=batch_loss,
            clip_grad=recipe.clip_grad,
            callbacks=(validate, SigmaLog(probe), *callbacks, record),
            progress=progress,
        )
    finally:
        accelerator.unwrap_model(state.model, keep_fp32_wrapper=False)  # mixed precision patches forward
    last = summary.rows[-1]
    score = Score(last["val_count"], last["val_top1"], last["val_top5"])
    if output is not None and accelerator.is_main_process:
        write_results(output, _results(model, recipe, dataset, seed, accelerator, score, summary))
    return TrainResult(score, summary.rows, None if output is None else Path(output))


def default_accelerator(*, mixed_precision: str = "no", **options: Any) -> Accelerator:
    """An accelerator whose processes share every batch, so that a recipe's batch size holds for any number.

    Args:
        mixed_precision: "no" for float32, "bf16" or "fp16"; one process cannot use two of them.
        **options: others of `accelerate.Accelerator`.
    """
    config = DataLoaderConfiguration(split_batches=True)
    return Accelerator(dataloader_config=config, mixed_precision=mixed_precision, **options)


def _check_batch_size(loader: Loader, recipe: Recipe, accelerator: Accelerator) -> None:
    images = (loader.batch_size or 0) * accelerator.gradient_accumulation_steps
    if not accelerator.split_batches:
        images *= accelerator.num_processes
    if images != recipe.batch_size:
        raise ValueError(
            f"the loader gives {images} images per optimizer update, but the recipe says batch_size="
            f"{recipe.batch_size}: build the loader with it, or pass recipe.override(batch_size={images})."
        )


def _probe_images(loader: Loader) -> Tensor:
    images, _ = next(iter(loader))
    return images[:PROBE_IMAGES]


def _prepare(
    model: nn.Module,
    train_loader: Loader,
    val_loader: Loader,
    recipe: Recipe,
    accelerator: Accelerator,
    channels_last: bool,
) -> tuple[TrainState, Loader, Loader]:
    if channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(model, recipe)
    updates = -(-len(train_loader) // accelerator.gradient_accumulation_steps)
    scheduler = build_scheduler(optimizer, recipe, updates_per_epoch=updates)
    prepared = accelerator.prepare(model, optimizer, train_loader, val_loader)
    return TrainState(accelerator, prepared[0], prepared[1], scheduler), prepared[2], prepared[3]


def _results(
    model: nn.Module,
    recipe: Recipe,
    dataset: str,
    seed: int,
    accelerator: Accelerator,
    score: Score,
    summary: Summary,
) -> dict[str, Any]:
    config = getattr(model, "pretrained_cfg", None) or {}
    return {
        "model": config.get("architecture", type(model).__name__),
        "tag": config.get("tag", ""),
        "dataset": dataset,
        "date": datetime.date.today().isoformat(),
        "seed": seed,
        "recipe": recipe.to_dict(),
        "precision": accelerator.mixed_precision,
        "processes": accelerator.num_processes,
        "score": score.to_dict(),
        "seconds": sum(row["seconds"] for row in summary.rows),
    }
