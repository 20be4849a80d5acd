"""Read the images and labels of a Hugging Face dataset of known length."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .columns import find_columns, index_labels

__all__ = ["HubReader"]


class HubReader:
    """A split of a Hugging Face dataset, with the interface of timm's readers.

    Args:
        name: name of the dataset on the Hub, or a folder.
        split: split as Hugging Face names it; slices such as "train[:90%]" are allowed.
        cache: folder in which datasets are stored; None for Hugging Face's own cache.
        columns: image and label column; None to find them by their features.
        classes: class names that text labels refer to; None for the different texts in sorted order.

    Attributes:
        labels: one label per image.
        class_names: class names that the labels index; None if labels are numbers without names.
        sorted: whether the class names are the different text labels in sorted order.

    Raises:
        ValueError: when a column is not found, or labels are missing.
    """

    def __init__(
        self,
        name: str,
        *,
        split: str,
        cache: str | Path | None = None,
        columns: tuple[str | None, str | None] = (None, None),
        classes: Sequence[str] | None = None,
    ) -> None:
        from datasets import Image, load_dataset

        self.name = name
        dataset: Any = load_dataset(name, split=split, cache_dir=None if cache is None else str(cache))
        self.image, label = find_columns(name, dataset.features, *columns)
        feature = dataset.features[label]
        self.labels, self.class_names = index_labels(name, label, feature, list(dataset[label]), classes)
        self.sorted = self.class_names is not None and not hasattr(feature, "names")
        self.dataset = dataset.select_columns(self.image).cast_column(self.image, Image(decode=False))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Return an open file, a path, or None if the image is missing, and the label."""
        stored = self.dataset[index][self.image] or {}
        content = stored.get("bytes")
        return io.BytesIO(content) if content else stored.get("path"), self.labels[index]

    def filename(self, index: int, absolute: bool = True) -> str:
        """Return the name of an image for messages, with its path if one is stored."""
        path = (self.dataset[index][self.image] or {}).get("path")
        return f"image {index} of hfds/{self.name}" + (f", {path}" if path else "")
