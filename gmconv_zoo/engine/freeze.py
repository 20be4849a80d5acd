"""Training a part of a network: what is frozen stays as it is, its norms' statistics included."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

__all__ = ["freeze_backbone", "freeze_parts", "set_train_mode"]


def freeze_parts(model: nn.Module, names: Sequence[str] = (), *, backbone: bool = False) -> None:
    """Leave parts of a network as they are.

    Args:
        model: any network.
        names: of modules ("layer1", "layer1.0"), with all that is below them, or patterns of parameters' names
            ("*.sigma").
        backbone: also all but the classifier, see `freeze_backbone`.

    Raises:
        ValueError: for a name that nothing has, or when nothing is left to train.
    """
    if backbone:
        freeze_backbone(model)
    parameters = dict(model.named_parameters())
    for name in names:
        found = [key for key in parameters if key.startswith(f"{name}.") or fnmatchcase(key, name)]
        if not found and name in dict(model.named_modules()):
            raise ValueError(f"freeze={name!r}: it has no parameters that could be frozen. Leave it out (--freeze).")
        if not found:
            parts = ", ".join(key for key, _ in model.named_children())
            raise ValueError(f"freeze={name!r}: no module or parameter is called so (--freeze). There are {parts}.")
        for key in found:
            parameters[key].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise ValueError(f"freeze={list(names)}: nothing is left to train. Freeze less (--freeze).")


def freeze_backbone(model: nn.Module) -> None:
    """Leave only the classifier trainable (linear probing).

    Args:
        model: a classifier of timm's interface (`get_classifier`).

    Raises:
        ValueError: when the network has no classifier with parameters.
    """
    find = getattr(model, "get_classifier", None)
    classifier = find() if callable(find) else None
    own = set(classifier.parameters()) if isinstance(classifier, nn.Module) else set()
    if not own:
        raise ValueError(f"{type(model).__name__} has no classifier to train alone: leave its backbone free.")
    for parameter in model.parameters():
        parameter.requires_grad_(parameter in own)


def set_train_mode(model: nn.Module) -> None:
    """Train mode, but for modules whose parameters are all frozen: they neither drop out nor move statistics."""
    model.train()
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()
