"""The whole way in one run: finetune on real images, load through timm, fuse, classify, draw."""

import logging
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import timm
import torch

from ..classify.predict import predict
from ..classify.task import TrainResult
from ..classify.train import finetune
from ..conversion import fuse
from ..models._names import MASKED_FAMILIES
from ..visualize.film import draw_film
from ..visualize.images import network_input
from .digits import digits

__all__ = ["run_demo"]

_logger = logging.getLogger(__name__)

# Without weights to start from, the masks start narrow and learn fast: at the usual sigma of 5 a 3x3 mask is nearly
# flat, has hardly a gradient, and would not move visibly in a minute's training.
_START_SIGMA = 1.0
_OVERRIDES: dict[str, Any] = {
    "epochs": 15,
    "patience": None,
    "optimizer": "sgd",
    "lr": 0.05,
    "weight_decay": 5e-4,
    "sigma_lr_scale": 10.0,
    "freeze_statistics": False,
    "crop_padding": 4,
    "crop_scale": 1.0,
    "flip": False,
}
# Fusing reorders roundings and no more; logits are of the order of 10.
_LARGEST_FUSED_DIFFERENCE = 1e-3
_SHOWN_IMAGES = 8


def run_demo(
    model: str = "gmconv_cifar_resnet20.gm_cifar10",
    output: str | Path = "output/demo",
    *,
    epochs: int | None = None,
    images: int | None = None,
    say: Callable[[str], None] = _logger.info,
    **options: Any,
) -> TrainResult:
    """Finetune a GMConv network on handwritten digits and take it through everything that comes after.

    Args:
        model: a gmconv_ or sgmconv_ name; with a tag ("name.tag") training starts from those weights.
        output: folder of the network, its records and pictures.
        epochs: number of epochs; None for 15. A film of the masks is drawn of two or more.
        images: number of images to use; None for all 1,797.
        say: function that receives one line of text after each step.
        **options: further options of `finetune`, e.g. seed and overwrite.

    Raises:
        ValueError: for a model without Gaussian masks.
        RuntimeError: when the fused or the reloaded network does not do what the trained one does.
    """
    if not model.startswith(MASKED_FAMILIES):
        raise ValueError(f"model={model!r} has no Gaussian masks: pass a gmconv_ or sgmconv_ name.")
    start: dict[str, Any] = {} if "." in model else {"pretrained": False, "model_options": {"sigma_init": _START_SIGMA}}
    overrides = _OVERRIDES | ({} if epochs is None else {"epochs": epochs})
    described: dict[str, Any] = {"dataset": "validation quarter of scikit-learn's digits", "say": say}
    with TemporaryDirectory() as folder:
        for name, image in digits(images):
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
        result = finetune(folder, model, output=output, overrides=overrides, **described, **start, **options)
        net = timm.create_model(f"local-dir:{output}", pretrained=True).eval()
        files = sorted(Path(folder, "val").rglob("*.png"), key=lambda path: path.name)
        found = list(predict(net, files, topk=1))
        inputs = network_input(net, files)

    say("validation images: digit  predicted  probability")
    for one in found[:_SHOWN_IMAGES]:
        (best,) = one.classes
        say(f"{one.image.parent.name:>23}{best.label:>11}{best.probability:>12.1%}")
    correct = sum(one.image.parent.name == one.classes[0].label for one in found)
    if correct != result.score.top1:
        raise RuntimeError(f"the network that was loaded back is right for {correct}, not {result.score.top1} images.")
    say(f"loaded back through timm: {correct} of {len(found)} validation images are correct, as after training")

    with torch.inference_mode():
        difference = (fuse(net)(inputs) - net(inputs)).abs().max().item()
    if not difference <= _LARGEST_FUSED_DIFFERENCE:
        raise RuntimeError(f"the fused network's logits differ by {difference:.1e} from the trained one's.")
    say(f"fused: static masks folded into plain convolutions, largest logit difference {difference:.1e}")
    if len(result.rows) > 1:
        film = draw_film(output, Path(output, "masks.gif"), overwrite=options.get("overwrite", False))
        say(f"masks by epoch: {film}")
    return result
