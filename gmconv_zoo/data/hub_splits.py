"""Which split of a Hugging Face data set is held out."""

from pathlib import Path

__all__ = ["held_out_split"]

# In the order of preference
_HELD_OUT = ("validation", "val", "valid", "dev", "test")


def held_out_split(name: str, *, cache: str | Path | None = None) -> str | None:
    """The first of "validation" and its other names, or else "test", that a data set has; None where it has neither.

    Args:
        name: of a data set on the Hub, or a folder of one.
        cache: where data sets are kept; None for Hugging Face's own place.

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
    return next((split for split in _HELD_OUT if split in splits), None)
