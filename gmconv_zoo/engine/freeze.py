"""Train a part of a network; frozen parts do not change, and neither do the statistics of their norms."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

__all__ = ["freeze_backbone", "freeze_parts", "set_train_mode"]


def freeze_parts(model: nn.Module, names: Sequence[str] = (), *, backbone: bool = False) -> None:
    """Exclude modules ("layer1", "layer1.0"), or parameters by patterns of their names ("*.sigma"), from training.

    With ``backbone``, everything but the classifier is frozen as well. ValueError for a name that does not exist, or
    when nothing is left to train.
    """
    if backbone:
        freeze_backbone(model)
    parameters = dict(model.named_parameters())
    for name in names:
        found = [key for key in parameters if key.startswith(f"{name}.") or fnmatchcase(key, name)]
        if not found and name in dict(model.named_modules()):
            raise ValueError(f"freeze={name!r}: this module has no parameters to freeze. Leave it out (--freeze).")
        if not found:
            parts = ", ".join(key for key, _ in model.named_children())
            raise ValueError(
                f"freeze={name!r}: the network has no such module or parameter. Its modules are {parts} (--freeze)."
            )
        for key in found:
            parameters[key].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise ValueError(f"freeze={list(names)}: nothing is left to train. Freeze less (--freeze).")


def freeze_backbone(model: nn.Module) -> None:
    """Leave only the classifier trainable (linear probing); ValueError where it has no parameters."""
    find = getattr(model, "get_classifier", None)
    classifier = find() if callable(find) else None
    own = set(classifier.parameters()) if isinstance(classifier, nn.Module) else set()
    if not own:
        raise ValueError(
            f"{type(model).__name__} has no classifier to train: leave out freeze_backbone (--freeze-backbone)."
        )
    for parameter in model.parameters():
        parameter.requires_grad_(parameter in own)


def set_train_mode(model: nn.Module, *, freeze_statistics: bool = False) -> None:
    """Set train mode, except for modules whose parameters are all frozen, so that their statistics do not change.

    With ``freeze_statistics``, all norms with running statistics keep them, and normalise by them.
    """
    model.train()
    for module in model.modules():
        parameters = list(module.parameters())
        frozen = parameters and not any(parameter.requires_grad for parameter in parameters)
        if frozen or (freeze_statistics and getattr(module, "running_mean", None) is not None):
            module.eval()
