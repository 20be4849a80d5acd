"""What the outputs of a classifier are called, and which of them are the most probable."""

from timm.data import ImageNetInfo, infer_imagenet_subset
from torch import Tensor, nn

from .detectors import refuse_detector

__all__ = ["best_classes", "check_classifier", "label_names", "recorded_names"]


def check_classifier(model: nn.Module) -> int:
    """Return the number of a classifier's outputs.

    Raises:
        TypeError: for a name in place of a network.
        ValueError: for a network without a classifier, or with a single output.
    """
    refuse_detector(model)
    count = int(getattr(model, "num_classes", 0) or 0)
    if count > 1:
        return count
    if count == 1:
        raise ValueError(
            f"{type(model).__name__} has one output (num_classes=1), but probabilities are a softmax over classes: "
            "create and train it with one output for each of at least two classes."
        )
    raise ValueError(f"{type(model).__name__} has no classifier (num_classes=0): create it with its classes.")


def best_classes(probabilities: Tensor, names: list[str], topk: int, *, image: str) -> list[tuple[int, str, float]]:
    """Return index, name and probability of one image's most probable classes, best first."""
    if not probabilities.isfinite().all():
        raise ValueError(f"{image}: the network's outputs are not finite. Check its weights.")
    values, indices = probabilities.topk(min(topk, len(names)))
    return [(index, names[index], value) for index, value in zip(indices.tolist(), values.tolist(), strict=True)]


def recorded_names(model: nn.Module) -> list[str]:
    """Return the names of a classifier's outputs that its configuration contains, a list or a dictionary by output.

    There is one name per output, or none at all.
    """
    names = (getattr(model, "pretrained_cfg", None) or {}).get("label_names") or []
    count = int(model.num_classes)  # type: ignore[arg-type]
    if len(names) != count:
        return []
    if isinstance(names, dict):
        names = [names.get(str(index), names.get(index, str(index))) for index in range(count)]
    return [str(name) for name in names]


def label_names(model: nn.Module) -> list[str]:
    """Return readable names of a classifier's classes, in the order of the outputs.

    They are the names in its configuration, or their descriptions if it has them. Otherwise they are ImageNet's for a
    network with ImageNet's number of classes, or else the numbers of the outputs.
    """
    if names := recorded_names(model):
        descriptions = (getattr(model, "pretrained_cfg", None) or {}).get("label_descriptions") or {}
        return [str(descriptions.get(name, name)) for name in names]
    if subset := infer_imagenet_subset(model):
        return list(ImageNetInfo(subset).label_descriptions())
    return [str(index) for index in range(int(model.num_classes))]  # type: ignore[arg-type]
