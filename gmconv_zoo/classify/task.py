"""Classification as a task of the engine: what `engine.fit` is given to train a classifier."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..engine.fit import FitOptions, Task, default_accelerator, fit
from ..engine.loop import EpochCallback
from ..extras import needs_extra
from ..images.pixels import naming_unreadable
from ..visualize.classes import draw_curves
from .evaluate import Answers, Score, not_above_chance
from .loss import make_batch_loss
from .recipes import Recipe

with needs_extra("train"):
    from accelerate import Accelerator

__all__ = ["Loader", "TrainResult", "fit_classifier"]

_logger = logging.getLogger(__name__)

Loader = DataLoader[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class TrainResult:
    """What a run gave.

    Attributes:
        score: of the weights the network ends with, on the validation set.
        epoch: the epoch that the weights are from, counted from 1.
        rows: one per epoch, as in summary.csv.
        output: the folder written to, or None.
        classes: the classes' names in the order of the outputs, where they are known.
        skipped: names of the images that could not be read, with the reason.
    """

    score: Score
    epoch: int
    rows: list[dict[str, Any]]
    output: Path | None
    classes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


def fit_classifier(
    model: nn.Module,
    train_loader: Loader,
    val_loader: Loader,
    recipe: Recipe,
    options: FitOptions | None = None,
    *,
    accelerator: Accelerator | None = None,
    class_weights: Tensor | None = None,
    run: dict[str, Any] | None = None,
    identity: Iterable[str] = (),
    on_best: Callable[[Answers], None] = lambda answers: None,
    callbacks: tuple[EpochCallback, ...] = (),
    closing_callbacks: tuple[EpochCallback, ...] = (),
) -> TrainResult:
    """Train a classifier in place and evaluate it after every epoch, see `engine.fit.fit`.

    Args:
        model: network from (B, C, H, W) images to (B, classes) logits.
        train_loader: loader of images and int64 labels, ``recipe.batch_size`` of them over all processes.
        val_loader: loader of the validation images, unshuffled.
        recipe: settings of the training. Augmentation is applied by the training loader.
        options: how the run is carried out; None for the defaults, which write nothing.
        accelerator: device, precision, gradient accumulation and processes; None for accelerate's defaults in
            float32. It must split batches over processes (``split_batches=True``), as the default one does.
        class_weights: (classes,) factors of the loss, for a recipe with class weights.
        run: further values for results.json, such as "dataset", the name of the validation set.
        identity: names of those that must be equal to go on from a checkpoint.
        on_best, callbacks, closing_callbacks: see `engine.fit.Task`.

    Returns:
        The final score and the rows. With a running average of the weights, the network ends with the average.

    Raises:
        UnreadableImageError: when an image that is read at every use cannot be read.
        ValueError, NonFiniteError, CheckpointError: as `engine.fit.fit` does.
    """
    options = options or FitOptions()
    classes = getattr(model, "num_classes", None)
    weights = class_weights if recipe.class_weights else None
    loss = make_batch_loss(recipe, classes=classes, class_weights=weights, channels_last=options.channels_last)
    task = Task(loss, Answers, "top1", _described, on_best, draw_curves, callbacks, closing_callbacks)
    with naming_unreadable("Repair it and go on with resume (--resume), or start anew with skip_bad (--skip-bad)."):
        result = fit(
            model,
            (train_loader, val_loader),
            task,
            recipe,
            options,
            accelerator=accelerator or default_accelerator(),
            run={"dataset": "", **(run or {})},
            identity=identity,
        )
    # not the best one: with wrong labels that is often one of the first, before much was learned
    last = next(row for row in reversed(result.rows) if "val_top1" in row)
    poor = not_above_chance(Score(last["val_count"], last["val_top1"], last["val_top5"]), classes or 0)
    if poor:
        _logger.warning(
            "in the last epoch %s. Check that the labels belong to the images; then try another "
            "learning rate (--lr), or more epochs.",
            poor,
        )
    row, output = result.row, options.output
    score = Score(row["val_count"], row["val_top1"], row["val_top5"])
    return TrainResult(score, row["epoch"], result.rows, None if output is None else Path(output))


def _described(row: dict[str, Any]) -> str:
    return f"val_top1 {row['val_top1_percent']:.2f} %" if "val_top1_percent" in row else ""
