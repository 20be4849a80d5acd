"""Find the columns of a Hugging Face dataset that hold images and labels, and turn labels into classes."""

from collections.abc import Mapping, Sequence
from typing import Any
from unicodedata import normalize

__all__ = ["find_columns", "index_labels", "is_text"]


def find_columns(
    name: str, features: Mapping[str, Any], image: str | None = None, label: str | None = None
) -> tuple[str, str]:
    """Find the column of images and the column of labels by their features.

    If several columns fit, the one called "image" or "label" is taken.

    Args:
        name: name of the dataset, for errors.
        features: the columns and their kinds, as `datasets` gives them.
        image: the user's choice of the image column; None to find it.
        label: the user's choice of the label column; None to find it.

    Returns:
        The names of both columns.

    Raises:
        ValueError: when a chosen column does not exist or does not fit, or when no column or several columns fit; the
            message names all columns.
    """
    from datasets import ClassLabel, Image

    images = [column for column, feature in features.items() if _is_image(feature)]
    found = _choose(name, features, "image", image, images, Image)
    labels = [column for column, feature in features.items() if column != found and _is_label(feature)]
    return found, _choose(name, features, "label", label, labels, ClassLabel)


def is_text(feature: Any) -> bool:
    """Return whether a column holds text, rather than class numbers."""
    return str(getattr(feature, "dtype", "")) in ("string", "large_string") and not hasattr(feature, "names")


def index_labels(
    name: str, column: str, feature: Any, values: Sequence[Any], classes: Sequence[str] | None = None
) -> tuple[list[int], list[str] | None]:
    """Turn the values of a label column into indices of classes.

    Args:
        name: name of the dataset, for errors.
        column: name of the column.
        feature: kind of the column.
        values: values of the column, one per image.
        classes: class names that text labels refer to; None for the different texts in sorted order.

    Returns:
        One label per image, and the class names from the feature or from the texts; None if labels are numbers without
        names.

    Raises:
        ValueError: when labels are missing, or a text label is not one of the classes.
    """
    if missing := [index for index, value in enumerate(values) if value is None or value == ""]:
        raise ValueError(
            f"{name}: {len(missing)} of {len(values)} images have no label in the column {column!r}; the first one is "
            f"image {missing[0]}. Add the labels, remove the images, or pass another column (--label-column)."
        )
    if not is_text(feature):
        return [int(value) for value in values], list(getattr(feature, "names", ())) or None
    texts = [normalize("NFC", value) for value in values]
    names = sorted(set(texts)) if classes is None else list(classes)
    if unknown := sorted(set(texts) - set(names)):
        raise ValueError(
            f"{name}: the column {column!r} has the labels {unknown[:3]}, which are not classes of the training split. "
            "Relabel or remove these images."
        )
    place = {text: index for index, text in enumerate(names)}
    return [place[text] for text in texts], names


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
    from datasets import Image

    if isinstance(feature, Image):
        return True
    return str(getattr(feature, "dtype", "")).endswith("binary") or (isinstance(feature, dict) and "bytes" in feature)


def _is_label(feature: Any) -> bool:
    kind = str(getattr(feature, "dtype", ""))
    return is_text(feature) or kind == "bool" or kind.startswith(("int", "uint"))


def _kind(feature: Any) -> str:
    return str(feature.dtype) if type(feature).__name__ == "Value" else type(feature).__name__
