"""Match the classes of a dataset with the outputs of a network."""

import logging
from collections import Counter
from collections.abc import Sequence
from unicodedata import normalize

from timm.data import ImageNetInfo
from torch import nn

from ..images.image_source import ImageSource
from ..images.label_files import is_wnid
from ..saving.label_names import check_classifier, recorded_names
from ..wording import listed

__all__ = ["check_imagenet_classes", "class_outputs"]

_logger = logging.getLogger(__name__)

# Because spellings differ, so many of the 1,000 classes may have names that do not occur in ImageNetInfo.
_UNKNOWN_WORDS = 20


def class_outputs(source: ImageSource, model: nn.Module) -> list[int] | None:
    """Return the network's output for each class of a dataset, in the order of the labels; None if labels are outputs.

    Classes are matched by name if both sides know names: those that the network was saved with, or WordNet ids for a
    network with ImageNet's 1,000 classes. A folder with only some of the classes is therefore evaluated correctly.

    Raises:
        ValueError: when the network does not know some of the classes, or has another number of classes, or when labels
            are numbers that may be outputs or names of the network's classes.
    """
    count, known = check_classifier(model), recorded_names(model)
    if source.class_names is None:
        _refuse_ambiguous(source, known)
        return None
    if not known and count == 1000 and any(map(is_wnid, source.class_names)):
        known = list(ImageNetInfo().label_names())
    # operating systems may encode the same letters as different code points
    known, names = ([normalize("NFC", name) for name in listed_names] for listed_names in (known, source.class_names))
    place, counts = {name: index for index, name in enumerate(known)}, Counter(known)
    if twice := {name for name in names if counts[name] > 1}:
        raise ValueError(
            f"{source.name}: several outputs of the network have the name {listed(twice)}: save the network with a "
            "different name for each output (label_names)."
        )
    unknown = sorted(set(names) - set(place))
    if known and not unknown:
        return [place[name] for name in names]
    others = f"{known[:5]}{' and others' if len(known) > 5 else ''}"
    if known and not (source.ordered and set(place).isdisjoint(names)):
        raise ValueError(
            f"{source.name}: {len(unknown)} of its {len(names)} classes are unknown to the network, e.g. "
            f"{unknown[:5]}; it knows {others}. Rename the folders, or correct the names in your file of labels "
            "(--labels) or of class names (--classes of gmconv validate)."
        )
    if len(names) != count:
        raise ValueError(f"{source.name} has {len(names)} classes, the network has {count} outputs.")
    if known:
        _logger.warning(
            "%s: the network knows none of its classes, e.g. %s, but %s: they are taken to be in the order of the "
            "network's outputs",
            source.name,
            names[:5],
            others,
        )
    return list(range(count))


def _refuse_ambiguous(source: ImageSource, known: Sequence[str]) -> None:
    """Refuse labels that are numbers and also names of the network's classes, unless both mean the same outputs."""
    place = {int(name): index for index, name in enumerate(known) if name.isdecimal()}
    if source.stream or all(name == index for name, index in place.items()):
        return
    labels = set(source.labels)
    if labels <= set(place) and (differing := sorted(label for label in labels if place[label] != label)):
        raise ValueError(
            f"{source.name}: its labels are numbers, and the network's classes have numbers as names, so that label "
            f"{differing[0]} may be output {differing[0]} or the class that is output {place[differing[0]]}. If labels "
            "are outputs, pass a file with the network's class names in their order as classes (--classes). If they "
            "are names, write the numbers of the outputs instead, or put the images of each class into a folder."
        )


def check_imagenet_classes(source: ImageSource) -> str:
    """Check that a dataset has the classes of ImageNet-1k, and that they are in the right order if the order counts.

    Names may be WordNet ids. For a dataset with an order of its own they may also be WordNet's words, such as "tench,
    Tinca tinca". Returns how the order is known, for the record; ValueError for other classes or another order.
    """
    expected, names = list(ImageNetInfo().label_names()), source.class_names
    if names is None:
        raise ValueError(
            f"{source.name} has numbers as labels and does not name their classes: pass a file with the WordNet ids in "
            "the order of the labels, one per line, as classes (--classes)."
        )
    if not all(map(is_wnid, names)):
        if source.ordered and len(names) == len(expected):
            return _check_words(source.name, names)
        raise ValueError(f"{source.name}: --verify needs folders named by WordNet id (n01440764), not {names[:3]}.")
    missing, extra = sorted(set(expected) - set(names)), sorted(set(names) - set(expected))
    if missing or extra:
        raise ValueError(
            f"{source.name} does not have the 1,000 classes of ImageNet-1k: missing {missing[:3]} ({len(missing)}), "
            f"unknown {extra[:3]} ({len(extra)})."
        )
    if source.ordered and names != expected:
        raise ValueError(f"{source.name}: its WordNet ids are not in ImageNet-1k's order.")
    return "by WordNet id, as timm.data.ImageNetInfo has them"


def _check_words(name: str, names: Sequence[str]) -> str:
    """Check that each class shares a word with ImageNet's class of the same index; a few may have unknown spellings."""
    info = ImageNetInfo()
    known = [_words(info.index_to_description(index)) for index in range(len(names))]
    everywhere = set().union(*known)
    wrong = [index for index, said in enumerate(names) if not _words(said) & known[index]]
    elsewhere = [index for index in wrong if _words(names[index]) & everywhere]
    if elsewhere or len(wrong) > _UNKNOWN_WORDS:
        first = (elsewhere or wrong)[0]
        raise ValueError(
            f"{name}: its classes are not in ImageNet-1k's order, e.g. class {first} is {names[first]!r} there and "
            f"{info.index_to_description(first)!r} in timm.data.ImageNetInfo ({len(wrong)} differ)."
        )
    unknown = f", {len(wrong)} unknown, e.g. {names[wrong[0]]!r}" if wrong else ""
    return f"by name, {len(names) - len(wrong):,} as timm.data.ImageNetInfo has them{unknown}"


def _words(description: str) -> set[str]:
    return {word.strip().lower().replace("_", " ") for word in str(description).split(",")}
