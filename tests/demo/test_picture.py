import pytest
import torch
from matplotlib.image import imread
from torch import nn

from gmconv_zoo.demo.picture import draw_training
from gmconv_zoo.layers import SGMConv2d
from gmconv_zoo.visualize.masks import layer_masks
from tests.engine.nets import tiny_net

ROWS = [{"epoch": epoch, "train_loss": 1 / epoch, "val_top1_percent": 30.0 * epoch} for epoch in (1, 2, 3)]


def images():
    return torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_training_picture_shows_changed_masks(tmp_path):
    net = tiny_net()
    before = layer_masks(net, images())
    with torch.no_grad():
        net[2].sigma.fill_(0.5)
    after = layer_masks(net, images())
    same = imread(draw_training(before, before, ROWS, tmp_path / "same.png", accuracy_before=9.0))
    changed = imread(draw_training(before, after, ROWS, tmp_path / "new" / "changed.png", accuracy_before=9.0))
    assert min(changed.shape[:2]) > 500
    assert (same != changed).any()


def test_many_layers_are_thinned_out(tmp_path):
    masks = layer_masks(nn.Sequential(*[SGMConv2d(1, 1, 3) for _ in range(60)]))
    assert draw_training(masks, masks, ROWS, tmp_path / "deep.png").is_file()


def test_training_picture_refuses_other_layers_and_no_rows(tmp_path):
    masks = layer_masks(tiny_net(), images())
    with pytest.raises(ValueError, match="the same layers"):
        draw_training(masks, masks[:1], ROWS, tmp_path / "x.png")
    with pytest.raises(ValueError, match="rows is empty"):
        draw_training(masks, masks, [], tmp_path / "x.png")
