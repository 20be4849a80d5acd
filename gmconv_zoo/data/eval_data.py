"""Image sets to evaluate on, by timm's names; no image is ever replaced by another one.

timm's own `ImageDataset` puts the next image in the place of one that cannot be read. Here timm only finds and lists
the images; `eval_images` reads them and keeps record of those that cannot be read.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from timm.data import create_dataset
from timm.data.readers.img_extensions import IMG_EXTENSIONS

from .folder import TRAIN_NAMES, VAL_NAMES
from .hub_reader import HubReader
from .label_files import read_class_names, read_labels
from .shards import open_shards

__all__ = ["EvalSource", "open_eval_data"]

_NAMED = ("torch", "hfds", "hfids", "wds")
# Other names under which timm looks for the held-out part of a folder
_EVALUATION = ("validation", "val", "valid", "eval", "evaluation")


@dataclass(frozen=True)
class EvalSource:
    """Where images and labels come from.

    Attributes:
        name: what the user asked for, for records.
        reader: ``reader[i]`` gives an open file or a PIL image and a label; a stream gives decoded ones by iteration.
        class_names: what the labels index; None where labels are outputs of the network.
        ordered: the order of the classes is the data set's own, so that it may stand for the network's where no
            name matches; for a folder it is only alphabetical.
        stream: images come in sequence and without names.
        count: images there should be; None where nobody says.
    """

    name: str
    reader: Any
    class_names: list[str] | None
    ordered: bool = False
    stream: bool = False
    count: int | None = None

    def image_name(self, index: int) -> str:
        """How to call an image in a message."""
        return str(self.reader.filename(index, absolute=True))


def open_eval_data(
    data: str | Path,
    *,
    root: str | Path | None = None,
    split: str = "validation",
    labels: str | Path | None = None,
    id_map: str | Path | None = None,
    num_samples: int | None = None,
    classes: str | Path | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
) -> EvalSource:
    """Find the images of a set.

    Args:
        data: a folder with one folder per class (or with such a folder named like the split; where "validation" is
            asked for, also "test"), a tar file, a flat folder if labels are given, or timm's "torch/NAME",
            "hfds/NAME", "hfids/NAME", "wds/NAME".
        root: where a named data set lies.
        split: of a named data set; for wds/ also timm's pattern of shards, "name-{00..09}.tar|COUNT".
        labels: file with the labels of a flat folder, see `label_files`.
        id_map: see `label_files`.
        num_samples: images in a stream whose own index does not say it.
        classes: file with the classes' names, one per line in the order of the labels, for a set that has none.
        image_column, label_column: columns of "hfds/NAME" and "hfids/NAME", where their features do not tell them.

    Returns:
        The source, to be given a transform by `eval_images`.

    Raises:
        ValueError: when there is no such set, or it has no images, or a class of it has none; for a stream of which
            nobody says how many images it has; for names of a set that has its own.
    """
    columns = image_column, label_column
    source = _open(data, root=root, split=split, labels=labels, id_map=id_map, num_samples=num_samples, columns=columns)
    if classes is None:
        return source
    if source.class_names is not None:
        raise ValueError(f"{source.name} names its classes, e.g. {source.class_names[:3]}: leave classes out.")
    return replace(source, class_names=read_class_names(classes), ordered=True)


def _open(
    data: str | Path,
    *,
    root: str | Path | None,
    split: str,
    labels: str | Path | None,
    id_map: str | Path | None,
    num_samples: int | None,
    columns: tuple[str | None, str | None],
) -> EvalSource:
    prefix = str(data).partition("/")[0].lower()
    if os.path.exists(data):
        return _flat(Path(data), labels, id_map) if labels is not None else _folder(Path(data), split)
    if labels is not None:
        raise ValueError(f"labels go with a flat folder of images; {str(data)!r} is none.")
    if prefix not in _NAMED or "/" not in str(data):
        raise ValueError(f"{str(data)!r}: no such folder; pass one, or torch/NAME, hfds/NAME, hfids/NAME or wds/NAME.")
    if prefix == "torch" and root is None:
        raise ValueError(f"{data}: pass root, the folder in which the data set lies.")
    if prefix in ("hfids", "wds"):
        shards = open_shards(str(data), root=root, split=split, count=num_samples, columns=columns)
        return EvalSource(str(data), shards, shards.class_names, ordered=True, stream=True, count=shards.count)
    try:
        if prefix == "hfds":
            reader = HubReader(str(data).partition("/")[2], split=split, cache=root, columns=columns)
            return EvalSource(str(data), reader, reader.class_names, ordered=not reader.sorted, count=len(reader))
        dataset: Any = create_dataset(str(data), root=str(root), split=split)
    except (AssertionError, ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{data}, root {root}, split {split!r}: {error or type(error).__name__}") from error
    names = getattr(dataset, "wnids", None) or getattr(dataset, "classes", None)
    return EvalSource(str(data), _TorchReader(dataset), names, ordered=True, count=len(dataset))


class _FlatReader:
    """Files and labels, with the interface of timm's readers."""

    def __init__(self, files: list[Path], labels: list[int]) -> None:
        self.files, self.labels = files, labels

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return open(self.files[index], "rb"), self.labels[index]

    def filename(self, index: int, absolute: bool = True) -> str:
        return str(self.files[index]) if absolute else self.files[index].name


class _TorchReader:
    """A torchvision data set, with the interface of timm's readers."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.dataset[index]

    def filename(self, index: int, absolute: bool = True) -> str:
        samples = getattr(self.dataset, "samples", None)
        return str(samples[index][0]) if samples else f"image {index} of {type(self.dataset).__name__}"


def _flat(folder: Path, labels: str | Path, id_map: str | Path | None) -> EvalSource:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in IMG_EXTENSIONS)
    if not files:
        raise ValueError(f"{folder}: no images; pass the folder that holds them when labels are given.")
    values, names = read_labels(labels, files, id_map=id_map)
    return EvalSource(str(folder), _FlatReader(files, values), names, count=len(files))


def _folder(folder: Path, split: str) -> EvalSource:
    if folder.is_dir() and any(file.suffix.lower() in IMG_EXTENSIONS for file in folder.iterdir()):
        raise ValueError(f"{folder}: images lie in it without a folder of their class; move them, or pass labels.")
    split = _known_split(folder, split)
    try:
        reader: Any = create_dataset("", root=str(folder), split=split).reader  # type: ignore[union-attr]
    except RuntimeError as error:
        raise ValueError(f"{folder}: {error}.") from error
    if folder.is_file():
        names = [reader.class_idx_to_name[index] for index in sorted(reader.class_idx_to_name)]
        return EvalSource(str(folder), reader, names, count=len(reader))
    names = sorted(reader.class_to_idx, key=reader.class_to_idx.get)
    root = Path(reader.root)
    empty = sorted(sub.name for sub in root.iterdir() if sub.is_dir() and not _holds_files(sub))
    if empty:
        raise ValueError(f"{root}: no image in the class folders {empty[:10]}; fill or remove them.")
    return EvalSource(str(root), reader, names, count=len(reader))


def _known_split(folder: Path, split: str) -> str:
    """The split to ask timm for, which takes all parts of a folder together where it has none of that name."""
    parts = [name for name in (*TRAIN_NAMES, *VAL_NAMES) if _holds_folders(folder / name)]
    meant = next((names for names in (TRAIN_NAMES, _EVALUATION) if split in names), (split,))
    if not parts or (folder / split).is_dir() or set(parts) & set(meant):
        return split
    if meant is _EVALUATION and "test" in parts:
        return "test"
    raise ValueError(f"{folder} has no {split!r}, only {', '.join(parts)}: pass one of them as split (--split).")


def _holds_folders(folder: Path) -> bool:
    return folder.is_dir() and any(path.is_dir() for path in folder.iterdir())


def _holds_files(folder: Path) -> bool:
    return folder.name.startswith(".") or any(file.suffix.lower() in IMG_EXTENSIONS for file in folder.rglob("*"))
