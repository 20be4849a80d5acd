"""Open one split of a dataset for evaluation: a folder, a tar file, or a dataset that timm names."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from ..images.folder import LabelledFiles, read_split
from ..images.hub_datasets import refuse_columns
from ..images.image_source import ImageSource
from ..images.label_files import read_class_names, read_labels
from ..images.listing import list_images
from ..images.tar_reader import TarReader
from ..wording import listed
from .named import name_prefix, open_named

__all__ = ["open_eval_data"]


def open_eval_data(
    data: str | Path,
    *,
    root: str | Path | None = None,
    split: str = "validation",
    labels: str | Path | None = None,
    num_samples: int | None = None,
    classes: str | Path | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    output: str | Path | None = None,
) -> ImageSource:
    """Find the images of one split of a dataset.

    Args:
        data: a folder with one folder per class, or with splits that contain such folders; a tar file; a flat
            folder if labels are given; or timm's "torch/NAME", "hfds/NAME", "hfids/NAME", "wds/NAME".
        root: folder in which a named dataset is stored.
        split: name of the split; for wds/ also timm's pattern of shards, "name-{00..09}.tar|COUNT".
        labels: file with the labels of a flat folder: ImageNet's ground-truth file (with the kit's meta.mat or
            map_clsloc.txt next to it), one WordNet id per line, or a file name and a label per line.
        num_samples: number of images in a stream without an index.
        classes: file with the class names, one per line in the order of the labels, for a dataset without names.
        image_column: column of the images of "hfds/NAME" and "hfids/NAME"; None to find it by its feature.
        label_column: the same for the labels.
        output: folder that will be written; it must be outside of a folder of images.

    Raises:
        ValueError: when the dataset does not exist, the dataset or one of its classes has no images, the number of
            images in a stream is unknown, or class names are passed for a dataset that has its own.
    """
    path = Path(data)
    if labels is not None or not name_prefix(data):
        refuse_columns(data, image_column, label_column)
    if labels is not None:
        source = _flat(path, labels, output)
    elif path.is_file():
        tar = TarReader(path)
        source = ImageSource(str(path), tar, tar.classes)
    elif path.exists():
        names, files = read_split(path, split, output=output)
        source = ImageSource(str(files.root), files, list(names))
    else:
        columns = image_column, label_column
        source = open_named(str(data), root=root, split=split, num_samples=num_samples, columns=columns)
    if classes is None:
        return source
    if source.class_names is not None:
        raise ValueError(f"{source.name} names its classes, e.g. {source.class_names[:3]}: leave classes out.")
    return replace(source, class_names=read_class_names(classes), ordered=True)


def _flat(folder: Path, labels: str | Path, output: str | Path | None) -> ImageSource:
    if not folder.is_dir():
        raise ValueError(f"labels (--labels) need a flat folder of images, but {str(folder)!r} is not a folder.")
    files = sorted(list_images(folder, output=output)[0], key=lambda file: file.name)
    if not files:
        raise ValueError(f"{folder}: no images; pass the folder that holds them when labels are given.")
    if twice := [name for name, count in Counter(file.name for file in files).items() if count > 1]:
        raise ValueError(
            f"{folder}: several images are called {listed(twice)}: give every image that has a label its own name."
        )
    values, names = read_labels(labels, files)
    return ImageSource(str(folder), LabelledFiles(tuple(files), tuple(values), folder), names)
