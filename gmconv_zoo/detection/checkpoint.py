"""Weights of a whole detector from a file: torchvision's layout, old and new, and this package's own."""

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from ..saving import WEIGHTS_NAME
from ..saving.named import hub_file, naming_load_errors, read_tensors
from ..weights.adapt import StateDict, adapt_checkpoint
from ..weights.errors import WeightsError

__all__ = ["classes_of", "is_native", "load_weights", "read_weights"]

# The body has the same names in timm and in torchvision. Files written by torchvision before 0.14 name single
# convolutions where there are now blocks of one.
_OLD_NAMES = (
    (re.compile(r"(backbone\.fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)"), r"\1.0.\2"),
    (re.compile(r"(rpn\.head\.conv)\.(weight|bias)"), r"\1.0.0.\2"),
)
_CLASSES = re.compile(r"roi_heads\.(stages\.0\.)?box_predictor\.cls_score\.weight")


def read_weights(weights: str | Path | Mapping[str, Tensor]) -> StateDict:
    """Return a detector's tensors, in what `build` takes as weights, under the names that this package uses."""
    if isinstance(weights, Mapping):
        tensors: StateDict = dict(weights)
    else:
        tensors = read_tensors(_file_of(str(weights)))
    for pattern, name in _OLD_NAMES:
        tensors = {pattern.sub(name, key): value for key, value in tensors.items()}
    return tensors


def _file_of(weights: str) -> Path:
    if weights.startswith("hf-hub:"):
        with naming_load_errors(f"weights={weights}"):
            return hub_file(weights, WEIGHTS_NAME)
    path = Path(weights, WEIGHTS_NAME) if Path(weights).is_dir() else Path(weights)
    if not path.is_file():
        raise ValueError(
            f"weights={weights!r}: the file does not exist. Pass a .pth or .safetensors file, the folder of a saved "
            "detector, or a Hub repository, hf-hub:ORG/NAME."
        )
    return path


def classes_of(tensors: Mapping[str, Tensor]) -> int | None:
    """Return the number of classes, background included, that a detector's tensors are for; None where unknown."""
    return next((len(value) for key, value in tensors.items() if _CLASSES.fullmatch(key)), None)


def is_native(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether tensors come from a detector with Gaussian masks or deformable convolutions."""
    return any(".sigma" in key or ".offset." in key for key in tensors)


def load_weights(detector: nn.Module, tensors: StateDict) -> None:
    """Load tensors from `read_weights` into a detector, in place.

    A box predictor for another number of classes keeps its initial weights; everything else has to fit.

    Raises:
        WeightsError: for tensors that are missing, unexpected, of another shape or not finite.
    """
    own = detector.state_dict()
    tensors = {key: value for key, value in tensors.items() if key in own or not key.endswith("num_batches_tracked")}
    other_classes = classes_of(tensors) not in (None, classes_of(own))
    predictors = tuple(name for name, _ in detector.named_modules() if name.endswith("box_predictor"))
    try:
        fitted = adapt_checkpoint(
            tensors,
            detector,
            declared="native" if is_native(tensors) else "standard",
            classifier=predictors if other_classes else (),
        )
    except RuntimeError as error:
        raise WeightsError(f"weights: {error} Pass the weights of a detector built with the same arguments.") from error
    kept = {key: fitted[key] if _fits(fitted.get(key), value) else value for key, value in own.items()}
    detector.load_state_dict(kept)


def _fits(found: Tensor | None, wanted: Tensor) -> bool:
    return found is not None and found.shape == wanted.shape
