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
    said = {"title": "a run", "accuracy_before": 9.0}
    same = imread(draw_training(before, before, ROWS, tmp_path / "same.png", **said))
    changed = imread(draw_training(before, after, ROWS, tmp_path / "new" / "changed.png", **said))
    assert min(changed.shape[:2]) > 500
    assert (same != changed).any()


def test_many_layers_are_thinned_out(tmp_path):
    masks = layer_masks(nn.Sequential(*[SGMConv2d(1, 1, 3) for _ in range(60)]))
    assert draw_training(masks, masks, ROWS, tmp_path / "deep.png", title="deep", accuracy_before=9.0).is_file()
