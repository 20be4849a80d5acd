"""A user's folder of images: its classes, and what is trained on and what is held out."""

import logging
import os
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from timm.data.readers import get_img_extensions

__all__ = ["TRAIN_NAMES", "VAL_NAMES", "ImageFolder", "LabelledFiles", "read_folder", "split_indices"]

_logger = logging.getLogger(__name__)

TRAIN_NAMES, VAL_NAMES = ("train", "training"), ("val", "validation", "valid", "test")
_SHOWN = 5


@dataclass(frozen=True)
class LabelledFiles:
    """Image files and, for each, the index of its class."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True)
class ImageFolder:
    """What a folder holds.

    Attributes:
        classes: names in sorted order; a label is an index into it.
        train, val: files to train on and held out.
        split_made: whether the held-out files were chosen here, for want of a folder of their own.
    """

    classes: tuple[str, ...]
    train: LabelledFiles
    val: LabelledFiles
    split_made: bool


def read_folder(root: str | Path, *, val_share: float = 0.2, seed: int = 0) -> ImageFolder:
    """Find classes and images.

    Args:
        root: holds one folder per class, or "train" and "val" (or "validation", "valid", "test") that do.
            Images may lie at any depth below their class; names that begin with a dot are not looked at.
        val_share: share of every class that is held out where there is no folder for that, at least one image.
        seed: of that choice.

    Returns:
        The classes and the files, in sorted order.

    Raises:
        ValueError: for a folder that is missing or without classes, a single class, class folders without images,
            or classes held out that are not trained on; the message names them.
    """
    root = Path(root)
    if not 0 < val_share < 1:
        raise ValueError(f"val_share={val_share}: pass a share between 0 and 1, e.g. 0.2.")
    if not root.is_dir():
        raise ValueError(f"{root} is no folder: pass one that holds a folder of images for each class.")
    train_root, val_root = _part(root, TRAIN_NAMES), _part(root, VAL_NAMES)
    if val_root is not None and train_root is None:
        raise ValueError(f"{root} has {val_root.name} but no train: add it, or pass a folder of class folders.")
    found = _images_by_class(train_root or root)
    classes = tuple(sorted(found))
    if val_root is None:
        files = _labelled(found, classes)
        kept, chosen = split_indices(files.labels, classes, share=val_share, seed=seed)
        return ImageFolder(classes, _chosen(files, kept), _chosen(files, chosen), split_made=True)
    held_out = _images_by_class(val_root, at_least=1)
    if unknown := sorted(set(held_out) - set(classes)):
        raise ValueError(f"{val_root} has classes that {train_root} has not: {_listed(unknown)}. Add or remove them.")
    if absent := sorted(set(classes) - set(held_out)):
        _logger.warning("%s has no images of %s: nothing is measured for them", val_root, _listed(absent))
    return ImageFolder(classes, _labelled(found, classes), _labelled(held_out, classes), split_made=False)


def _part(root: Path, names: Sequence[str]) -> Path | None:
    return next((root / name for name in names if (root / name).is_dir()), None)


def _images_by_class(root: Path, *, at_least: int = 2) -> dict[str, list[Path]]:
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    found = {folder.name: _images(folder) for folder in folders}
    if not found:
        raise ValueError(f"{root} has no class folders: put the images of each class into a folder of its own.")
    if empty := [name for name, images in found.items() if not images]:
        raise ValueError(
            f"{root}: no images ({', '.join(get_img_extensions())}) in the class folders {_listed(empty)}. Fill or "
            "remove them."
        )
    if len(found) < at_least:
        raise ValueError(f"{root} has a single class, {folders[0].name}: a classifier needs at least two.")
    return found


def _images(folder: Path) -> list[Path]:
    extensions = tuple(get_img_extensions())
    files = []
    for place, inner, names in os.walk(folder, followlinks=True):
        inner[:] = [name for name in inner if not name.startswith(".")]
        files += [Path(place, n) for n in names if n.lower().endswith(extensions) and not n.startswith(".")]
    return sorted(files)


def split_indices(
    labels: Sequence[int], classes: Sequence[str], *, share: float, seed: int
) -> tuple[list[int], list[int]]:
    """Hold out the same share of every class; which images depends on the seed and the class's own images alone.

    Args:
        labels: of the images.
        classes: names that the labels index.
        share: of every class, at least one image.
        seed: of the choice.

    Returns:
        Indices of the images that are kept and of those that are held out, both sorted.

    Raises:
        ValueError: for a share that is none, or a class with a single image.
    """
    if not 0 < share < 1:
        raise ValueError(f"val_share={share}: pass a share between 0 and 1, e.g. 0.2.")
    members: dict[int, list[int]] = {}
    for index, label in enumerate(labels):
        members.setdefault(label, []).append(index)
    if lonely := [classes[label] for label, images in sorted(members.items()) if len(images) < 2]:
        raise ValueError(f"a single image in {_listed(lonely)}: one to train on and one to hold out are needed.")
    held_out: set[int] = set()
    for label, images in members.items():
        drawn_from = random.Random(f"{seed}/{classes[label]}".encode(errors="surrogateescape"))
        held_out.update(drawn_from.sample(images, _held_out_count(len(images), share)))
    return [index for index in range(len(labels)) if index not in held_out], sorted(held_out)


def _held_out_count(images: int, share: float) -> int:
    return min(max(1, round(images * share)), images - 1)


def _labelled(found: dict[str, list[Path]], classes: Sequence[str]) -> LabelledFiles:
    pairs = [(path, label) for label, name in enumerate(classes) for path in found.get(name, ())]
    counts = Counter(label for _, label in pairs)
    _logger.debug("%d images in %d classes", len(pairs), len(counts))
    return LabelledFiles(tuple(path for path, _ in pairs), tuple(label for _, label in pairs))


def _chosen(files: LabelledFiles, indices: Sequence[int]) -> LabelledFiles:
    return LabelledFiles(tuple(files.paths[i] for i in indices), tuple(files.labels[i] for i in indices))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
