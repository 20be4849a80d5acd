"""Which output of a network each class of a data set belongs to."""

from timm.data import ImageNetInfo
from torch import nn

from ..saving.label_names import recorded_names
from .eval_data import EvalSource
from .label_files import is_wnid

__all__ = ["check_imagenet_classes", "class_outputs"]


def class_outputs(source: EvalSource, model: nn.Module) -> list[int] | None:
    """The output of each class of a data set, in the order of its labels.

    Names decide where there are any that both sides know: those the network was saved with, or WordNet ids for a
    network with ImageNet's 1,000 classes. So a folder with some of the classes is evaluated rightly too.

    Args:
        source: the data set.
        model: a classifier; its `pretrained_cfg` may have "label_names".

    Returns:
        One output per class, or None where labels are outputs already.

    Raises:
        ValueError: when classes are unknown to the network, or their number is another one.
    """
    count = int(getattr(model, "num_classes", 0) or 0)
    if not count:
        raise ValueError(f"{type(model).__name__} has no classifier (num_classes=0): create it with its classes.")
    if source.class_names is None:
        return None
    known = recorded_names(model)
    if not known and count == 1000 and all(map(is_wnid, source.class_names)):
        known = list(ImageNetInfo().label_names())
    unknown = sorted(set(source.class_names) - set(known))
    if known and not unknown:
        place = {name: index for index, name in enumerate(known)}
        return [place[name] for name in source.class_names]
    if known and not source.ordered:
        raise ValueError(
            f"{source.name}: {len(unknown)} of its {len(source.class_names)} classes are unknown to the network, e.g. "
            f"{unknown[:5]}; it knows {known[:5]}{' and others' if len(known) > 5 else ''}. Rename the folders."
        )
    if len(source.class_names) != count:
        raise ValueError(f"{source.name} has {len(source.class_names)} classes, the network has {count} outputs.")
    return list(range(count))


def check_imagenet_classes(source: EvalSource) -> str:
    """See that a data set's classes can be those of ImageNet-1k, in the right order where they have WordNet ids.

    Returns:
        How the order is known, for the record.

    Raises:
        ValueError: when they are others.
    """
    expected, names = list(ImageNetInfo().label_names()), source.class_names
    if names is None:
        return "labels are output indices, their order was not checked"
    if not all(map(is_wnid, names)):
        if source.ordered and len(names) == len(expected):
            return "the data set's own order, not checked: its classes have no WordNet ids"
        raise ValueError(f"{source.name}: verifying needs folders named by WordNet id (n01440764), got {names[:3]}.")
    missing, extra = sorted(set(expected) - set(names)), sorted(set(names) - set(expected))
    if missing or extra:
        raise ValueError(
            f"{source.name}: not the 1,000 classes of ImageNet-1k; missing {missing[:3]} ({len(missing)}), "
            f"unknown {extra[:3]} ({len(extra)})."
        )
    if source.ordered and names != expected:
        raise ValueError(f"{source.name}: its WordNet ids are not in ImageNet-1k's order.")
    return "by WordNet id, as timm.data.ImageNetInfo has them"
