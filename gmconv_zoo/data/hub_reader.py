"""Images of a Hugging Face dataset with a length, and their labels."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .columns import find_columns, index_labels

__all__ = ["HubReader"]


class HubReader:
    """A split of a Hugging Face dataset.

    Args:
        name: name on the Hub, or a folder.
        split: as Hugging Face names it, slices such as "train[:90%]" included.
        cache: folder in which datasets are kept; None for Hugging Face's own.
        columns: those of the images and of the labels, where their features do not tell them.
        classes: names that labels are to index, where they are text; None for the different texts, sorted.

    Attributes:
        labels: one per image.
        class_names: what the labels index; None where they are numbers without names.
        sorted: whether the names are the labels' own texts, in sorted order.

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
        """Return an open file, a path, or None where there is no image; and the label."""
        stored = self.dataset[index][self.image] or {}
        content = stored.get("bytes")
        return io.BytesIO(content) if content else stored.get("path"), self.labels[index]

    def filename(self, index: int) -> str:
        """Return what an image is called in messages, with its path where one is stored."""
        path = (self.dataset[index][self.image] or {}).get("path")
        return f"image {index} of hfds/{self.name}" + (f", {path}" if path else "")
