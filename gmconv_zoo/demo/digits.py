"""scikit-learn's handwritten digits: 1,797 real 8x8 scans, as 32x32 images with a validation set."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from ..extras import needs_extra

with needs_extra("demo"):
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

__all__ = ["HELD_OUT_IMAGES", "digits"]

HELD_OUT_IMAGES = 450
# The split is part of the dataset: the validation images are the same for every seed of the training.
_SPLIT_SEED = 0
_MOST_INK = 16


def digits(images: int | None = None) -> Iterator[tuple[str, Image.Image]]:
    """Yield the digits as files of an image folder, e.g. "train/7/00000.png", with the same share of every class.

    Args:
        images: number of images to use, a quarter of them for validation; None for all 1,797.

    Raises:
        ValueError: for fewer than 80 images, with which a class has fewer than two for validation, or too many.
    """
    data = load_digits()
    total = len(data.target)
    if images is not None and not 80 <= images <= total:
        raise ValueError(f"images={images}: pass 80 to {total}, or None for all.")
    chosen, held_out = np.arange(total), HELD_OUT_IMAGES
    if images is not None and images < total:
        chosen, _ = train_test_split(chosen, train_size=images, random_state=_SPLIT_SEED, stratify=data.target)
        held_out = images // 4
    split = {"test_size": held_out, "random_state": _SPLIT_SEED, "stratify": data.target[chosen]}
    for name, part in zip(("train", "val"), train_test_split(chosen, **split), strict=True):
        for number, index in enumerate(part):
            ink = Image.fromarray((data.images[index] / _MOST_INK * 255).astype(np.float32))
            grey = np.asarray(ink.resize((32, 32), Image.Resampling.BILINEAR)).round().astype(np.uint8)
            yield f"{name}/{data.target[index]}/{number:05d}.png", Image.fromarray(grey)
