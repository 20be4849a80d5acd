"""Read Hugging Face datasets: find image and label columns, read images, and choose the validation split."""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unicodedata import normalize

__all__ = ["HubReader", "find_columns", "held_out_split", "is_text", "refuse_columns"]

# In the order of preference
_HELD_OUT = ("validation", "val", "valid", "dev", "test")


def find_columns(
    name: str, features: Mapping[str, Any], image: str | None = None, label: str | None = None
) -> tuple[str, str]:
    """Return the column of images and the column of labels, found by their features or chosen by the user.

    If several columns fit, the one called "image" or "label" is taken. Without one, or if a chosen column does not fit,
    a ValueError names all columns.
    """
    from datasets import ClassLabel, Image

    images = [column for column, feature in features.items() if _is_image(feature)]
    found = _choose(name, features, "image", image, images, Image)
    labels = [column for column, feature in features.items() if column != found and _is_label(feature)]
    return found, _choose(name, features, "label", label, labels, ClassLabel)


def refuse_columns(data: object, *columns: str | None) -> None:
    """Refuse chosen columns of a dataset that has none."""
    if any(columns):
        raise ValueError(
            f"{data} has no columns: leave out image_column and label_column (--image-column, --label-column)."
        )


def is_text(feature: Any) -> bool:
    """Return whether a column holds text, rather than class numbers."""
    return str(getattr(feature, "dtype", "")) in ("string", "large_string") and not hasattr(feature, "names")


def _choose(
    name: str, features: Mapping[str, Any], kind: str, given: str | None, fitting: list[str], surest: type
) -> str:
    columns = ", ".join(f"{column} ({_kind(feature)})" for column, feature in features.items())
    if given is not None:
        if given in fitting:
            return given
        why = f"does not hold {kind}s" if given in features else "does not exist"
        raise ValueError(
            f"{name}: the column {given!r} {why}. Pass one of these as {kind}_column (--{kind}-column): {columns}."
        )
    likely = [column for column in fitting if isinstance(features[column], surest)] or fitting
    if kind in fitting or len(likely) == 1:
        return kind if kind in fitting else likely[0]
    why = f"{', '.join(likely)} may each hold the {kind}s" if likely else f"no column holds {kind}s"
    raise ValueError(f"{name}: {why}. The columns are {columns}: pass one as {kind}_column (--{kind}-column).")


def _is_image(feature: Any) -> bool:
    """Return whether a column may hold images: declared ones, or bytes with or without a path."""
    if type(feature).__name__ == "Image":
        return True
    return str(getattr(feature, "dtype", "")).endswith("binary") or (isinstance(feature, dict) and "bytes" in feature)


def _is_label(feature: Any) -> bool:
    kind = str(getattr(feature, "dtype", ""))
    return is_text(feature) or kind == "bool" or kind.startswith(("int", "uint"))


def _kind(feature: Any) -> str:
    return str(feature.dtype) if type(feature).__name__ == "Value" else type(feature).__name__


class HubReader:
    """A split of a Hugging Face dataset, which is named as on the Hub, or by its folder.

    It has a label per image. Text labels refer to the classes, or without them to the different texts in sorted order;
    `sorted` is then True. `class_names` is None if labels are numbers without names. ValueError when a column is not
    found, labels are missing, or a text label is not one of the classes.
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
        feature, values = dataset.features[label], list(dataset[label])
        if missing := [index for index, value in enumerate(values) if value is None or value == ""]:
            raise ValueError(
                f"{name}: {len(missing)} of {len(values)} images have no label in the column {label!r}; the first one "
                f"is image {missing[0]}. Add the labels, remove the images, or pass another column (--label-column)."
            )
        self.sorted = is_text(feature)
        self.class_names: list[str] | None = list(getattr(feature, "names", ())) or None
        if self.sorted:
            values = [normalize("NFC", value) for value in values]
            self.class_names = sorted(set(values)) if classes is None else list(classes)
            if unknown := sorted(set(values) - set(self.class_names)):
                raise ValueError(
                    f"{name}: the column {label!r} has the labels {unknown[:3]}, which are not classes of the training "
                    "split. Relabel or remove these images."
                )
            place = {text: index for index, text in enumerate(self.class_names)}
            values = [place[text] for text in values]
        self.labels = [int(value) for value in values]
        self.dataset = dataset.select_columns(self.image).cast_column(self.image, Image(decode=False))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Return an open file, a path, or None if the image is missing, and the label."""
        stored = self.dataset[index][self.image] or {}
        content = stored.get("bytes")
        return io.BytesIO(content) if content else stored.get("path"), self.labels[index]

    def filename(self, index: int) -> str:
        """Return the name of an image for messages, with its path if one is stored."""
        path = (self.dataset[index][self.image] or {}).get("path")
        return f"image {index} of hfds/{self.name}" + (f", {path}" if path else "")


def held_out_split(name: str, *, train_split: str = "train", cache: str | Path | None = None) -> str | None:
    """Return the split to validate with: "validation" or another name of it, or "test" if there is none.

    A split that is trained on, also as a part of "train+validation[:50%]", is never returned; None without another one.
    """
    from datasets import get_dataset_split_names, load_dataset_builder

    try:
        # a dataset that is in the cache is found there without a network
        builder = load_dataset_builder(name, cache_dir=None if cache is None else str(cache))
        splits = list(builder.info.splits or get_dataset_split_names(name))
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"{name}: {error or type(error).__name__}") from error
    trained = {re.sub(r"\[.*", "", part).strip() for part in train_split.split("+")}
    return next((split for split in _HELD_OUT if split in splits and split not in trained), None)
