import pytest
import torch
from sklearn.datasets import load_digits

from gmconv_zoo.demo.digits import HELD_OUT_IMAGES, digits


def test_split_is_stratified_disjoint_and_complete():
    data = digits()
    assert data.train_images.shape == (1347, 3, 32, 32)
    assert data.held_out_images.shape == (HELD_OUT_IMAGES, 3, 32, 32)
    assert data.train_images.dtype == torch.uint8
    whole = torch.bincount(torch.from_numpy(load_digits().target))
    held_out = torch.bincount(data.held_out_labels)
    assert torch.equal(torch.bincount(data.train_labels) + held_out, whole)
    assert (held_out - whole * HELD_OUT_IMAGES / 1797).abs().max() <= 1
    # all scans differ, so that the two parts together hold every one exactly once
    everything = torch.cat([data.train_images, data.held_out_images])[:, 0].flatten(1)
    assert len(everything.unique(dim=0)) == len(load_digits().data)


def test_scans_keep_their_labels():
    data = digits()
    means = load_digits()
    for digit in range(10):
        mine = data.held_out_images[data.held_out_labels == digit].float().mean((0, 1)) / 255
        scans = torch.from_numpy(means.images[means.target == digit]).float().mean(0) / 16
        small = torch.nn.functional.avg_pool2d(mine[None], 4)[0]
        assert torch.corrcoef(torch.stack([small.flatten(), scans.flatten()]))[0, 1] > 0.95


def test_fewer_images_keep_a_quarter_held_out():
    data = digits(200)
    assert (len(data.train_labels), len(data.held_out_labels)) == (150, 50)
    for images in (79, 1798):
        with pytest.raises(ValueError, match=f"images={images}: pass 80 to 1797"):
            digits(images)
