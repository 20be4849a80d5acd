"""Training recipes: the paper's for CIFAR and ImageNet, and one for finetuning.

The paper's numbers (Sec. IV-A, "Training") stand here and nowhere else. It does not say whether sigma, norms and
biases are decayed; plain SGD decays every parameter, so the paper's recipes do. Override `sigma_weight_decay` to
train without.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engine.optim import TrainSettings, smaller_batch
from ..models._names import net_of

__all__ = [
    "FINETUNE",
    "FINETUNE_RANDOM",
    "PAPER_RECIPES",
    "Recipe",
    "dataset_statistics",
    "finetuning_recipe",
    "paper_start",
    "recipe_for",
]


@dataclass(frozen=True, kw_only=True)
class Recipe(TrainSettings):
    """All settings of a classifier's training, except the network, the images and the seed.

    Attributes:
        label_smoothing: share of the target that is spread evenly over all classes, in [0, 1).
        crop_padding: black pixels added on each side before a random crop of the original size.
        crop_scale: smallest share of the area that a random resized crop keeps, in (0, 1]; 1 for no resized crop. For
            images larger than CIFAR's, instead of ``crop_padding``.
        flip: mirror half of the images left to right; not for digits or text.
        class_weights: give every class the same weight in the loss, whatever its number of images.
        mixup, cutmix: strength of timm's mixing of images, 0 for none.
        epochs, lr, batch_size, ...: see `TrainSettings`.

    Raises:
        ValueError: for a value outside its range, naming the field.
    """

    label_smoothing: float = 0.0
    crop_padding: int = 0
    crop_scale: float = 1.0
    flip: bool = False
    class_weights: bool = False
    mixup: float = 0.0
    cutmix: float = 0.0

    NOT_NEGATIVE = (*TrainSettings.NOT_NEGATIVE, "mixup", "cutmix")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing={self.label_smoothing!r}: pass a number in [0, 1).")
        if not 0 < self.crop_scale <= 1:
            raise ValueError(f"crop_scale={self.crop_scale!r}: pass a share of the area in (0, 1], 1 for no crop.")
        if self.class_weights and (self.mixup or self.cutmix):
            raise ValueError("class_weights cannot be combined with mixup or cutmix: choose one of them.")
        if isinstance(self.crop_padding, bool) or not isinstance(self.crop_padding, int) or self.crop_padding < 0:
            raise ValueError(f"crop_padding={self.crop_padding!r}: pass a whole number of pixels, 0 for no crop.")


def _plain_sgd(weight_decay: float, **values: Any) -> Recipe:
    """SGD that decays every parameter alike."""
    return Recipe(weight_decay=weight_decay, sigma_weight_decay=weight_decay, decay_norm_and_bias=True, **values)


_CIFAR = {"batch_size": 128, "lr": 0.1, "momentum": 0.9, "schedule": "multistep", "crop_padding": 4, "flip": True}
_CIFAR_DEEP = _plain_sgd(1e-4, epochs=160, milestones=(80, 120), decay_rate=0.1, **_CIFAR)
_IMAGENET = {"batch_size": 256, "momentum": 0.9, "flip": True, "crop_scale": 0.08}
_IMAGENET_RESNET = _plain_sgd(4e-5, epochs=90, lr=0.1, schedule="step", decay_epochs=30, decay_rate=0.1, **_IMAGENET)

# By the network's name without its family.
PAPER_RECIPES: dict[str, Recipe] = {
    "cifar_resnet20": _CIFAR_DEEP,
    "cifar_resnet56": _CIFAR_DEEP,
    "cifar_resnet18": _plain_sgd(5e-4, epochs=200, milestones=(60, 120, 160), decay_rate=0.2, **_CIFAR),
    "resnet18": _IMAGENET_RESNET,
    "resnet50": _IMAGENET_RESNET,
    "alexnet": _IMAGENET_RESNET.override(lr=0.01, schedule="multistep", milestones=(30, 60)),
    "mobilenetv2": _IMAGENET_RESNET.override(epochs=300, lr=0.01, decay_epochs=1, decay_rate=0.98),
}

# The paper trains torchvision's networks. With these constructor arguments timm's networks start in the same way.
_PAPER_STARTS: dict[str, dict[str, Any]] = {
    "resnet18": {"zero_init_last": False},
    "resnet50": {"zero_init_last": False},
    "mobilenetv2": {"drop_rate": 0.2},
}

# Of the 50,000 training images in [0, 1]. By default the CIFAR networks here have those of CIFAR-10.
_CIFAR100_STATISTICS = {"mean": [0.5071, 0.4865, 0.4409], "std": [0.2673, 0.2564, 0.2762]}

# A few epochs: the masks start wide and no decay narrows them.
FINETUNE_RANDOM = Recipe(
    epochs=20,
    batch_size=64,
    lr=0.05,
    optimizer="sgd",
    weight_decay=5e-4,
    schedule="cosine",
    warmup_epochs=1.0,
    label_smoothing=0.1,
    clip_grad=5.0,
    crop_scale=0.5,
    flip=True,
    patience=10,
)
# From pretrained weights. Statistics of a few images of another dataset would change every layer's outputs at once.
FINETUNE = FINETUNE_RANDOM.override(optimizer="adamw", lr=0.001, weight_decay=0.05, freeze_statistics=True)
# A small dataset is finetuned on in smaller batches, so that an epoch has about this many updates.
_UPDATES = 8
_SMALLEST_BATCH = 8


def finetuning_recipe(images: int, overrides: dict[str, Any], *, random_start: bool = False) -> Recipe:
    """Return the finetuning recipe for a number of training images. Few images get smaller batches and a lower rate.

    The rate is lowered in proportion to the batch size, and with AdamW to its square root. A batch size among the
    overrides, see `Recipe.adapt`, is kept, and then the recipe's rate is too.
    """
    recipe = FINETUNE_RANDOM if random_start else FINETUNE
    if "batch_size" not in overrides:
        batch = smaller_batch(recipe.batch_size, images, updates=_UPDATES, smallest=_SMALLEST_BATCH)
        share = batch / recipe.batch_size
        recipe = recipe.override(batch_size=batch, lr=recipe.lr * (share if random_start else share**0.5))
    return recipe.adapt(**overrides)


def recipe_for(name: str, *, random_start: bool = True) -> Recipe:
    """Return the paper's recipe for a network of any family and tag, or that for finetuning, by the name "finetune".

    The latter depends on whether the weights are random. ValueError for a network that the paper does not train.
    """
    if name == "finetune":
        return FINETUNE_RANDOM if random_start else FINETUNE
    net = net_of(name)
    if net not in PAPER_RECIPES:
        raise ValueError(
            f"{name!r} is not one of the networks that the paper has recipes for ({', '.join(PAPER_RECIPES)}): pass "
            'the name of one of these, or "finetune", as recipe (--recipe).'
        )
    return PAPER_RECIPES[net]


def paper_start(model: str) -> dict[str, Any]:
    """Return the constructor arguments with which a network starts as the paper's does; empty for timm's defaults."""
    return dict(_PAPER_STARTS.get(net_of(model), {}))


def dataset_statistics(data: str | Path) -> dict[str, Any]:
    """Return the "mean" and "std" by channel that images of a dataset, in [0, 1], are normalised with.

    CIFAR-100 is known as "torch/cifar100" or as a folder called "cifar100"; empty for the network's own statistics.
    """
    return dict(_CIFAR100_STATISTICS) if Path(data).name.lower() in ("cifar100", "cifar-100") else {}
