"""Choose the validation split of a Hugging Face dataset."""

import re
from pathlib import Path

__all__ = ["held_out_split"]

# In the order of preference
_HELD_OUT = ("validation", "val", "valid", "dev", "test")


def held_out_split(name: str, *, train_split: str = "train", cache: str | Path | None = None) -> str | None:
    """Return the split to validate with: "validation" or another name of it, or "test" if there is none.

    A split that is trained on is never returned.

    Args:
        name: name of a dataset on the Hub, or a folder that holds one.
        train_split: training split, e.g. "train" or "train+validation[:50%]".
        cache: folder in which datasets are stored; None for Hugging Face's own cache.

    Returns:
        The name of the split; None if the dataset has no such split.

    Raises:
        ValueError: when the dataset does not exist.
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
