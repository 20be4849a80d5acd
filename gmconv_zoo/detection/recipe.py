"""Recipe of a detector's training: the 1x schedule on COCO, and what it becomes on fewer images."""

from dataclasses import dataclass
from typing import Any

from ..engine.optim import TrainSettings, smaller_batch

__all__ = ["ONE_X", "DetectionRecipe", "recipe_for"]

_WARMUP_UPDATES = 500
_WARMUP_SHARE = 0.1  # of a training that has not many updates
# An epoch of few images has about this many updates, in batches of at least so many images.
_UPDATES, _SMALLEST_BATCH = 64, 2


@dataclass(frozen=True, kw_only=True)
class DetectionRecipe(TrainSettings):
    """All settings of a detector's training, except the network, the images and the seed.

    Attributes:
        flip: mirror half of the images left to right.
        without_boxes: train also on images without a box.
        epochs, lr, batch_size, ...: see `TrainSettings`.

    Raises:
        ValueError: for a value outside its range, naming the field.
    """

    flip: bool = True
    without_boxes: bool = False


# Plain SGD decays every parameter alike, the sigmas too, as in the paper's recipes of classification.
ONE_X = DetectionRecipe(
    epochs=12,
    batch_size=16,
    lr=0.02,
    optimizer="momentum",
    weight_decay=1e-4,
    sigma_weight_decay=1e-4,
    decay_norm_and_bias=True,
    schedule="multistep",
    milestones=(8, 11),
    decay_rate=0.1,
)


def recipe_for(images: int, **overrides: Any) -> DetectionRecipe:
    """Return the 1x schedule for a number of training images, with some fields changed, see `TrainSettings.adapt`.

    Without a batch size, fewer than 1,024 images get smaller batches. Without a learning rate, that of 16 images per
    batch is scaled linearly. Without a warm-up, the learning rate rises from 0 over 500 updates, but at most over a
    tenth of the training.
    """
    recipe = ONE_X
    if "batch_size" not in overrides:
        smaller = smaller_batch(recipe.batch_size, images, updates=_UPDATES, smallest=_SMALLEST_BATCH)
        overrides["batch_size"] = smaller
    recipe = recipe.adapt(**overrides)
    if "lr" not in overrides:
        recipe = recipe.override(lr=ONE_X.lr * recipe.batch_size / ONE_X.batch_size)
    if "warmup_epochs" not in overrides:
        updates = -(-images // recipe.batch_size)
        recipe = recipe.override(warmup_epochs=min(_WARMUP_UPDATES / updates, _WARMUP_SHARE * recipe.epochs))
    return recipe
