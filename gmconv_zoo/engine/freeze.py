"""Training a part of a network: what is frozen stays as it is, its norms' statistics included."""

from torch import nn

__all__ = ["freeze_backbone", "set_train_mode"]


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
