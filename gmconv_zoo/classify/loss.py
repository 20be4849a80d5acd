"""The training loss of a classifier: cross entropy with label smoothing, class weights and timm's mixup."""

from typing import Any

import torch
from timm.data import Mixup
from torch import Tensor, nn
from torch.nn import functional as F

from ..engine.loop import BatchLoss
from .recipes import Recipe

__all__ = ["balanced_weights", "make_batch_loss"]


def balanced_weights(labels: Tensor, classes: int) -> Tensor:
    """Weights by which every class counts the same in the loss; their mean over the images is 1.

    Args:
        labels: (N,) int64, of the training images; every class at least once.
        classes: how many there are.

    Returns:
        (classes,) float32.
    """
    counts = torch.bincount(labels, minlength=classes)
    return len(labels) / (classes * counts.float())


def make_batch_loss(
    recipe: Recipe, *, classes: int | None = None, class_weights: Tensor | None = None, channels_last: bool = True
) -> BatchLoss:
    """The loss of a batch as the training loop wants it.

    Args:
        recipe: gives label smoothing, mixup and cutmix.
        classes: outputs of the network; needed for mixup and cutmix only.
        class_weights: (classes,) multiplies each image's loss by its class's weight.
        channels_last: bring images into this memory format.

    Returns:
        A function of the network and a batch of (B, C, H, W) images and (B,) labels.

    Raises:
        ValueError: when the recipe mixes images and the number of classes is not known.
    """
    mixing = _mixup(recipe, classes)

    def batch_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, int]:
        images, targets = batch
        smoothing = recipe.label_smoothing
        weights = None if class_weights is None else class_weights.to(targets.device)[targets]
        if mixing is not None and len(images) % 2 == 0:  # timm mixes an even number of images
            if weights is not None:
                raise ValueError("class weights cannot be combined with mixup or cutmix: choose one of them.")
            images, targets = mixing(images, targets)
            smoothing = 0.0  # done by the mixing
        if channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        logits = model(images).float()
        if weights is None:
            return F.cross_entropy(logits, targets, label_smoothing=smoothing), len(images)
        losses = F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
        return (losses * weights).mean(), len(images)

    return batch_loss


def _mixup(recipe: Recipe, classes: int | None) -> Any:
    if not recipe.mixup and not recipe.cutmix:
        return None
    if classes is None:
        raise ValueError(f"mixup={recipe.mixup}, cutmix={recipe.cutmix}: the network must say its num_classes.")
    return Mixup(recipe.mixup, recipe.cutmix, label_smoothing=recipe.label_smoothing, num_classes=classes)
