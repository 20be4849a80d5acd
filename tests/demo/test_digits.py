import numpy as np
import pytest
from sklearn.datasets import load_digits

from gmconv_zoo.demo.digits import HELD_OUT_IMAGES, digits


def parts(images=None):
    """The labels and the (N, 32, 32) pixels of both splits."""
    found = {"train": ([], []), "val": ([], [])}
    for name, image in digits(images):
        split, label, _ = name.split("/")
        found[split][0].append(int(label))
        found[split][1].append(np.asarray(image))
    return [(np.array(labels), np.stack(pixels)) for labels, pixels in found.values()]


def test_split_is_stratified_disjoint_and_complete_and_scans_keep_their_labels():
    scans = load_digits()
    (train_labels, train), (labels, held_out) = parts()
    assert (train.shape, held_out.shape) == ((1347, 32, 32), (HELD_OUT_IMAGES, 32, 32))
    whole = np.bincount(scans.target)
    assert (np.bincount(train_labels) + np.bincount(labels) == whole).all()
    assert abs(np.bincount(labels) - whole * HELD_OUT_IMAGES / 1797).max() <= 1
    # all scans differ, so that the two parts together hold every one exactly once
    assert len(np.unique(np.concatenate([train, held_out]), axis=0)) == len(scans.data)
    for digit in range(10):
        mine = held_out[labels == digit].mean(0).reshape(8, 4, 8, 4).mean((1, 3))
        assert np.corrcoef(mine.ravel(), scans.images[scans.target == digit].mean(0).ravel())[0, 1] > 0.95


def test_fewer_images_keep_a_quarter_for_validation():
    assert [len(labels) for labels, _ in parts(200)] == [150, 50]
    for images in (79, 1798):
        with pytest.raises(ValueError, match=f"images={images}: pass 80 to 1797"):
            list(digits(images))
