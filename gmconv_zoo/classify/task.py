"""Classification as a task of the engine: what `engine.fit` is given to train a classifier.

The loss is cross entropy with label smoothing, class weights and timm's mixup.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from timm.data import Mixup
from torch import Tensor, nn
from torch.nn import functional as F

from ..engine.fit import FitOptions, Task, default_accelerator, fit
from ..engine.loop import BatchLoss
from ..extras import needs_extra
from ..images.pixels import naming_unreadable
from ..visualize.curves import draw_curves
from .evaluate import Answers, Score, not_above_chance
from .loading import Loaders
from .recipes import Recipe

with needs_extra("train"):
    from accelerate import Accelerator

__all__ = ["TrainResult", "balanced_weights", "fit_classifier", "make_batch_loss"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """What a run gave: score on the validation set and epoch, from 1, of the weights that the network ends with.

    There is one row per epoch, as in summary.csv. The output folder's results.json has the rest.
    """

    score: Score
    epoch: int
    rows: list[dict[str, Any]]


def balanced_weights(labels: Tensor) -> Tensor:
    """Return the (classes,) float32 weights by which every class counts the same in the loss.

    Their mean over the training images, whose labels are (N,) and have every class at least once, is 1.
    """
    counts = torch.bincount(labels)
    return len(labels) / (len(counts) * counts.float())


def make_batch_loss(
    recipe: Recipe, *, classes: int | None = None, class_weights: Tensor | None = None, channels_last: bool = True
) -> BatchLoss:
    """Return the loss of a batch of (B, C, H, W) images and (B,) labels as the training loop wants it.

    The recipe says label smoothing, mixup and cutmix, for which the number of classes is needed. The (classes,) weights
    multiply each image's loss by its class's weight. With channels_last, images are brought into this memory format.
    """
    mixing: Any = None
    if recipe.mixup or recipe.cutmix:
        if classes is None:
            raise ValueError(f"mixup={recipe.mixup}, cutmix={recipe.cutmix}: the network must say its num_classes.")
        mixing = Mixup(recipe.mixup, recipe.cutmix, label_smoothing=recipe.label_smoothing, num_classes=classes)

    def batch_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, int]:
        images, targets = batch
        smoothing = recipe.label_smoothing
        weights = None if class_weights is None else class_weights.to(targets.device)[targets]
        if mixing is not None:
            images, targets = _mixed(mixing, images, targets)
            smoothing = 0.0  # done by the mixing
        if channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        logits = model(images).float()
        if weights is None:
            return F.cross_entropy(logits, targets, label_smoothing=smoothing), len(images)
        losses = F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
        return (losses * weights).mean(), len(images)

    return batch_loss


def fit_classifier(
    model: nn.Module,
    loaders: Loaders,
    recipe: Recipe,
    options: FitOptions,
    *,
    accelerator: Accelerator | None = None,
    run: dict[str, Any] | None = None,
    identity: Iterable[str] = (),
    on_best: Callable[[Answers], None] = lambda _: None,
) -> TrainResult:
    """Train a classifier in place and evaluate it after every epoch, see `engine.fit.fit`.

    Args:
        model: network from (B, C, H, W) images to (B, classes) logits.
        loaders: ``recipe.batch_size`` training images over all processes, and unshuffled validation images.
        recipe: settings of the training. Augmentation is applied by the training loader.
        options: how the run is carried out.
        accelerator, run, identity: as `fit` takes them; None for `default_accelerator` in float32.
        on_best: receives what the network answered after every epoch that is the best so far.

    Returns:
        The final score and the rows. With a running average of the weights, the network ends with the average.

    Raises:
        UnreadableImageError: when an image that is read at every use cannot be read.
        ValueError, NonFiniteError, CheckpointError: as `fit` does.
    """
    classes = getattr(model, "num_classes", None)
    weights = balanced_weights(loaders.train_labels) if recipe.class_weights else None
    loss = make_batch_loss(recipe, classes=classes, class_weights=weights, channels_last=options.channels_last)
    callbacks = loaders.callbacks, loaders.closing_callbacks
    task = Task(loss, loaders.answers, "top1", _described, on_best, draw_curves, *callbacks)
    with naming_unreadable("Repair it and go on with resume (--resume), or start anew with skip_bad (--skip-bad)."):
        result = fit(
            model,
            (loaders.train, loaders.val),
            task,
            recipe,
            options,
            accelerator=accelerator or default_accelerator(),
            run={"dataset": "", **(run or {})},
            identity=identity,
        )
    # not the best one: with wrong labels that is often one of the first, before much was learned
    last = next(row for row in reversed(result.rows) if "val_top1" in row)
    if poor := not_above_chance(_score(last), classes or 0):
        _logger.warning(
            "in the last epoch %s. Check that the labels belong to the images; then try another learning rate (--lr), "
            "or more epochs.",
            poor,
        )
    return TrainResult(_score(result.row), result.row["epoch"], result.rows)


def _score(row: dict[str, Any]) -> Score:
    return Score(row["val_count"], row["val_top1"], row["val_top5"])


def _mixed(mixing: Mixup, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Mix a batch with itself; timm mixes an even number of images, so that of an odd one the last is taken twice."""
    count = len(images)
    if count % 2:
        images, targets = torch.cat([images, images[-1:]]), torch.cat([targets, targets[-1:]])
    images, targets = mixing(images, targets)
    return images[:count], targets[:count]


def _described(row: dict[str, Any]) -> str:
    return f"val_top1 {row['val_top1_percent']:.2f} %" if "val_top1_percent" in row else ""
