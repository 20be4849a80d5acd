"""Which split of a Hugging Face data set is held out."""

import re
from pathlib import Path

__all__ = ["held_out_split"]

# In the order of preference
_HELD_OUT = ("validation", "val", "valid", "dev", "test")


def held_out_split(name: str, *, train_split: str = "train", cache: str | Path | None = None) -> str | None:
    """The first of "validation" and its other names, or else "test", that a data set has and that is not trained on.

    Args:
        name: of a data set on the Hub, or a folder of one.
        train_split: what is trained on, e.g. "train" or "train+validation[:50%]".
        cache: where data sets are kept; None for Hugging Face's own place.

    Returns:
        The split, or None where there is none.

    Raises:
        ValueError: when there is no such data set.
    """
    from datasets import get_dataset_split_names, load_dataset_builder

    try:
        # a set that is in the cache is found there without a network
        builder = load_dataset_builder(name, cache_dir=None if cache is None else str(cache))
        splits = list(builder.info.splits or get_dataset_split_names(name))
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"{name}: {error or type(error).__name__}") from error
    trained = {re.sub(r"\[.*", "", part).strip() for part in train_split.split("+")}
    return next((split for split in _HELD_OUT if split in splits and split not in trained), None)
