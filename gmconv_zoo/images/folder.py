"""Read a folder of images with one folder per class: its classes and its splits."""

import logging
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..wording import listed
from .listing import list_images

__all__ = ["LabelledFiles", "are_splits", "natural_key", "read_folder", "read_split"]

_logger = logging.getLogger(__name__)

# What folders of splits are called, in any case of letters: for training, validation and test
_TRAIN = ("train", "training")
_VAL = ("val", "valid", "validation", "dev", "eval", "evaluation")
_TEST = ("test", "testing")


@dataclass(frozen=True)
class LabelledFiles:
    """Image files below a root and, for each, the index of its class: a reader of `ImageSource`."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...]
    root: Path

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Path, int]:
        return self.paths[index], self.labels[index]

    @property
    def names(self) -> list[str]:
        """Paths relative to the root."""
        depth = len(self.root.parts)
        return ["/".join(path.parts[depth:]) for path in self.paths]

    def filename(self, index: int) -> str:
        """Return the path of an image for messages."""
        return str(self.paths[index])


@dataclass(frozen=True)
class _Part:
    """A folder of class folders: the images of each class, which may have none, and the images next to the folders."""

    root: Path
    classes: Mapping[str, Sequence[Path]]
    loose: Sequence[Path]


def read_folder(
    root: str | Path, *, output: str | Path | None = None
) -> tuple[tuple[str, ...], LabelledFiles, LabelledFiles | None]:
    """Find the classes and images to train on and to validate with.

    The root holds one folder per class, in which images may be at any depth, or folders of splits that do. Folders are
    splits only if all that hold images have names of splits: train, training; val, valid, validation, dev, eval,
    evaluation; test, testing, in any case of letters. The root and the output are as in `list_images`.

    Returns:
        The classes in natural order ("2" before "10"), the files to train on, and those to validate with; None for the
        latter if the folder has no split for it. ValueError, naming classes, splits or files to change, for a folder
        that cannot be used as it is.
    """
    root = Path(root)
    parts = _parts(root, output=output)
    train, val = parts.get("") or _chosen_split(root, parts, _TRAIN), _chosen_split(root, parts, _VAL, _TEST)
    if train is None:
        raise ValueError(
            f"{root} has {', '.join(parts)} but no folder train: add it, or pass a folder of class folders."
        )
    _check(train, classes=2)
    classes = tuple(sorted(train.classes, key=natural_key))
    if val is None:
        return classes, _labelled(train, classes, root), None
    _check(val, classes=1)
    if unknown := sorted(set(val.classes) - set(classes)):
        raise ValueError(
            f"{val.root} has classes that {train.root} does not have: {listed(unknown)}. Add or remove them."
        )
    return classes, _labelled(train, classes, root), _labelled(val, classes, root)


def read_split(
    root: str | Path, split: str, *, output: str | Path | None = None
) -> tuple[tuple[str, ...], LabelledFiles]:
    """Find the classes and images of one split, by the rules of `read_folder`, although a single class is allowed.

    The split may be named in any way; "validation" also means "test" if there is no other split. If the root holds
    classes instead of splits, all images are read.

    Returns:
        The classes in natural order, and the files below the folder that holds the class folders.
    """
    root, parts = Path(root), _parts(Path(root), asked=split, output=output)
    meant = next((names for names in ((_TRAIN,), (_VAL, _TEST), (_TEST,)) if split.lower() in names[0]), ())
    part = parts.get("") or parts.get(split) or _chosen_split(root, parts, *meant, (split.lower(),))
    if part is None:
        raise ValueError(
            f"{root} has no split {split!r}, only {', '.join(parts)}: pass one of these as split (--split)."
        )
    _check(part, classes=1)
    classes = tuple(sorted(part.classes, key=natural_key))
    return classes, _labelled(part, classes, part.root)


def are_splits(names: Iterable[str]) -> bool:
    """Tell whether there are a split to train on and another one among the names of folders."""
    lower = {name.lower() for name in names}
    return bool(lower & {*_TRAIN}) and bool(lower & {*_VAL, *_TEST})


def natural_key(name: str) -> tuple[list[int | str], str]:
    """Return the key that sorts class names: numbers in them by their value, and capital letters like small ones."""
    parts = re.split(r"(\d+)", name.lower())
    return [int(part) if part.isdecimal() else part for part in parts], name


def _parts(root: Path, *, asked: str = "train", output: str | Path | None = None) -> dict[str, _Part]:
    """Return the splits of a folder by name, or the whole folder under an empty name."""
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder: pass a folder that holds one folder of images per class.")
    images, folders = list_images(root, output=output)
    depth, names = len(root.parts), {*_TRAIN, *_VAL, *_TEST, asked.lower()}
    tops = _by_name(images, depth)
    loose = tops.pop("", [])
    if not tops or any(name.lower() not in names for name in tops):
        _refuse_inner_splits(root, folders)
        if len(taken := [name for name in tops if name.lower() in names]) > 1:
            others = listed([name for name in tops if name not in taken])
            _logger.warning(
                "%s: %s are read as classes, not as splits, because they stand next to %s", root, listed(taken), others
            )
        return {"": _part(root, images, folders)}
    if loose:
        _logger.warning(
            "%s: left out %s, which are stored next to the splits", root, listed([path.name for path in loose])
        )
    empty = [folder.name for folder in folders if len(folder.parts) == depth + 1]
    splits = [*tops, *(name for name in empty if name not in tops and name.lower() in names)]
    inside = _by_name(folders, depth)
    return {name: _part(root / name, tops.get(name, ()), inside.get(name, ())) for name in splits}


def _refuse_inner_splits(root: Path, folders: Iterable[Path]) -> None:
    """Refuse class folders that hold splits, which would be mixed."""
    depth, inside = len(root.parts), dict[str, set[str]]()
    for folder in folders:
        if len(folder.parts) == depth + 2:
            inside.setdefault(folder.parts[depth], set()).add(folder.name.lower())
    if found := [name for name, held in inside.items() if are_splits(held)]:
        raise ValueError(
            f"{root}: the folders {listed(found)} hold splits, which would be mixed. Pass a folder that holds the "
            "splits, each with one folder per class, e.g. train/cat and val/cat."
        )


def _part(root: Path, images: Iterable[Path], folders: Iterable[Path]) -> _Part:
    depth = len(root.parts)
    names: dict[str, list[Path]] = {path.parts[depth]: [] for path in folders}
    classes: dict[str, list[Path]] = {}
    for name, paths in (names | _by_name(images, depth)).items():
        # operating systems may encode the same letters as different code points
        classes.setdefault(unicodedata.normalize("NFC", name), []).extend(paths)
    return _Part(root, classes, classes.pop("", []))


def _by_name(files: Iterable[Path], depth: int) -> dict[str, list[Path]]:
    """Group files by the name of their ancestor folder at a depth; files above that depth get an empty name."""
    found: dict[str, list[Path]] = {}
    for path in files:
        found.setdefault(path.parts[depth] if len(path.parts) > depth + 1 else "", []).append(path)
    return found


def _chosen_split(root: Path, parts: Mapping[str, _Part], *groups: Sequence[str]) -> _Part | None:
    """Return the split that the first matching group of names means; None if no group matches."""
    for group in groups:
        found = [name for name in parts if name.lower() in group]
        if len(found) > 1:
            raise ValueError(f"{root} has {' and '.join(found)}, which mean the same split: keep one of them.")
        if found:
            return parts[found[0]]
    return None


def _check(part: _Part, *, classes: int) -> None:
    """Check that a folder has images in at least so many class folders, and nowhere else."""
    if part.loose:
        raise ValueError(
            f"{part.root}: {listed([path.name for path in part.loose])} are stored outside of class folders. "
            "Move them into class folders; to validate with a file of labels, pass labels (--labels)."
        )
    if not part.classes:
        raise ValueError(f"{part.root} has no class folders: put the images of each class into their own folder.")
    if empty := sorted(name for name, images in part.classes.items() if not images):
        raise ValueError(f"{part.root}: the class folders {listed(empty)} hold no images. Fill or remove them.")
    if len(part.classes) < classes:
        ((name, images),) = part.classes.items()
        inner = _by_name(images, len(part.root.parts) + 1).keys() - {""}
        advice = f" If its folders {listed(inner)} are the classes, pass {part.root / name}." if len(inner) > 1 else ""
        raise ValueError(f"{part.root} has a single class, {name}: a classifier needs at least two classes.{advice}")


def _labelled(part: _Part, classes: Sequence[str], root: Path) -> LabelledFiles:
    pairs = [(path, label) for label, name in enumerate(classes) for path in part.classes.get(name, ())]
    return LabelledFiles(tuple(path for path, _ in pairs), tuple(label for _, label in pairs), root)
