"""The whole way in one run: finetune on real images, fuse, save for the Hub, load through timm, classify, draw."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from ..classify.evaluate import Answers, Score
from ..classify.loading import Loaders
from ..classify.recipes import FINETUNE_RANDOM, Recipe
from ..classify.task import fit_classifier
from ..conversion import fuse
from ..data.tensors import TensorImages, tensor_loader
from ..engine.evaluate import evaluate
from ..engine.fit import FitOptions
from ..files.records import RESULTS_NAME, SUMMARY_NAME
from ..models._names import MASKED_FAMILIES
from ..saving import CONFIG_NAME, WEIGHTS_NAME, save
from ..visualize.masks import layer_masks
from .digits import Digits, digits
from .picture import draw_training

__all__ = ["DEMO_FILES", "DEMO_RECIPE", "DemoResult", "run_demo"]

_logger = logging.getLogger(__name__)

# Without weights to start from, the masks start narrow and learn fast: at the usual sigma of 5 a 3x3 mask is nearly
# flat, has hardly a gradient, and would not move visibly in a minute's training.
START_SIGMA = 1.0
DEMO_RECIPE = FINETUNE_RANDOM.override(
    epochs=15, crop_padding=4, sigma_lr_scale=10.0, crop_scale=1.0, flip=False, patience=None
)
# Fusing reorders roundings and no more; logits are of the order of 10.
LARGEST_FUSED_DIFFERENCE = 1e-3
EVAL_BATCH = 256
HELD_OUT = "validation quarter of scikit-learn's digits"
SHOWN_IMAGES = 8
PICTURE_NAME = "masks_and_curve.png"
# Everything that is written into the output folder.
DEMO_FILES = (CONFIG_NAME, WEIGHTS_NAME, SUMMARY_NAME, RESULTS_NAME, PICTURE_NAME)


@dataclass(frozen=True)
class DemoResult:
    """The scores on the validation images, and the largest difference between a fused and an unfused logit on them."""

    before: Score
    after: Score
    fused_difference: float


def run_demo(
    model: str = "gmconv_cifar_resnet20.gm_cifar10",
    output: str | Path = "output/demo",
    *,
    epochs: int | None = None,
    images: int | None = None,
    seed: int = 0,
    progress: bool = True,
    say: Callable[[str], None] = _logger.info,
) -> DemoResult:
    """Finetune a GMConv network on handwritten digits and take it through everything that comes after.

    Args:
        model: a gmconv_ or sgmconv_ name; with a tag ("name.tag") training starts from those weights.
        output: folder for the model, the records and the picture.
        epochs: number of epochs; None for the recipe's.
        images: number of images to use; None for all 1,797.
        seed: seed of the initial weights, the order and the augmentation.
        progress: whether a progress bar is shown.
        say: function that receives one line of text after each step.

    Returns:
        The scores and the fused difference.

    Raises:
        ValueError: for a model without Gaussian masks.
        RuntimeError: when the fused or the reloaded network does not do what the trained one does.
    """
    output = Path(output)
    recipe = DEMO_RECIPE if epochs is None else DEMO_RECIPE.adapt(epochs=epochs)
    torch.manual_seed(seed)
    net = _start(model)
    output.mkdir(parents=True, exist_ok=True)  # before anything is trained in vain
    data = digits(images)
    loaders = _loaders(net, data, recipe, seed)
    held_out = loaders.val
    probe = torch.cat([images for images, _ in held_out])
    masks_before = layer_masks(net, probe)
    answers = Answers()
    evaluate(net, held_out, answers)
    before = answers.score
    say(f"{model}: {len(data.train_labels)} training images, {before.count} validation images")
    say(f"validation accuracy before: {before.top1_percent:.2f} %")

    options = FitOptions(output=output, seed=seed, progress=progress)
    result = fit_classifier(net, loaders, recipe, options, run={"dataset": HELD_OUT})
    say(f"validation accuracy after:  {result.score.top1_percent:.2f} % ({result.score.top1} of {result.score.count})")

    net = net.cpu().eval()
    logits = _logits(net, probe)
    difference = (_logits(fuse(net), probe) - logits).abs().max().item()
    if not difference <= LARGEST_FUSED_DIFFERENCE:
        raise RuntimeError(f"the fused network's logits differ by {difference:.1e} from the trained one's.")
    say(f"fused: static masks folded into plain convolutions, largest logit difference {difference:.1e}")

    folder = save(net, output, label_names=[str(digit) for digit in range(10)])
    reloaded = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    if changed := int((_logits(reloaded, probe).argmax(1) != logits.argmax(1)).sum()):
        raise RuntimeError(f"the reloaded network predicts another digit for {changed} of {len(logits)} images.")
    say(f'saved and loaded back, same predictions: timm.create_model("local-dir:{folder}", pretrained=True)')
    _classify_some(reloaded, probe, data.held_out_labels, say)

    picture = draw_training(
        masks_before,
        layer_masks(net, probe),
        result.rows,
        output / PICTURE_NAME,
        title=f"{model} on handwritten digits",
        accuracy_before=before.top1_percent,
    )
    say(f"masks before and after, and the training curve: {picture}")
    return DemoResult(before, result.score, difference)


def _start(model: str) -> nn.Module:
    if not model.startswith(MASKED_FAMILIES):
        raise ValueError(f"model={model!r} has no Gaussian masks: pass a gmconv_ or sgmconv_ name.")
    options = {"pretrained": True} if "." in model else {"sigma_init": START_SIGMA}
    return timm.create_model(model, num_classes=10, **options)


def _loaders(net: nn.Module, data: Digits, recipe: Recipe, seed: int) -> Loaders:
    statistics = timm.data.resolve_model_data_config(net)
    channels = {"mean": statistics["mean"], "std": statistics["std"]}
    augmented: dict[str, Any] = {"crop_padding": recipe.crop_padding, "flip": recipe.flip, "seed": seed}
    to_train = TensorImages(data.train_images, data.train_labels, **augmented, **channels)
    held_out = TensorImages(data.held_out_images, data.held_out_labels, **channels)
    # a last batch of a few images would give batch norm poor statistics
    train_loader = tensor_loader(to_train, recipe.batch_size, shuffle=True, multiple=recipe.batch_size)
    return Loaders(train_loader, tensor_loader(held_out, EVAL_BATCH))


@torch.inference_mode()
def _logits(net: nn.Module, images: Tensor) -> Tensor:
    return torch.cat([net(batch) for batch in images.split(EVAL_BATCH)])


def _classify_some(net: nn.Module, images: Tensor, labels: Tensor, say: Callable[[str], None]) -> None:
    probabilities, predicted = _logits(net, images[:SHOWN_IMAGES]).softmax(1).max(1)
    say("validation images: digit  predicted  probability")
    for label, digit, probability in zip(labels[:SHOWN_IMAGES], predicted, probabilities, strict=True):
        say(f"{int(label):>23}{int(digit):>11}{probability.item():>12.1%}")
