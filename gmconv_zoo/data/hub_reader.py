"""Images of a Hugging Face dataset with a length, and their labels."""

import io
from pathlib import Path
from typing import Any

from .columns import find_columns, index_labels

__all__ = ["HubReader"]


class HubReader:
    """A split of a Hugging Face dataset, with the interface of timm's readers.

    Args:
        name: name on the Hub, or a folder.
        split: as Hugging Face names it, slices such as "train[:90%]" included.
        cache: folder in which datasets are kept; None for Hugging Face's own.
        columns: those of the images and of the labels, where their features do not tell them.

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
    ) -> None:
        from datasets import Image, load_dataset

        dataset: Any = load_dataset(name, split=split, cache_dir=None if cache is None else str(cache))
        self.image, label = find_columns(name, dataset.features, *columns)
        feature = dataset.features[label]
        self.labels, self.class_names = index_labels(name, label, feature, list(dataset[label]))
        self.sorted = self.class_names is not None and not hasattr(feature, "names")
        self.dataset = dataset.select_columns(self.image).cast_column(self.image, Image(decode=False))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """An open file and a label; raises OSError where there is no image."""
        stored = self.dataset[index][self.image] or {}
        if not (stored.get("bytes") or stored.get("path")):
            raise OSError("there is no image")
        return io.BytesIO(stored.get("bytes") or Path(stored["path"]).read_bytes()), self.labels[index]

    def filename(self, index: int, absolute: bool = True) -> str:
        """The path that is stored with an image; its number where there is none."""
        return str((self.dataset[index][self.image] or {}).get("path") or f"image {index}")
