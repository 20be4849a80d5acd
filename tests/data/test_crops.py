import torch
from torchvision.transforms.v2.functional import resized_crop

from gmconv_zoo.data.tensors import ResizedCrops, crop_and_resize

IMAGES = torch.randint(256, (6, 3, 20, 24), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def crops(**options):
    channels = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    return ResizedCrops(IMAGES, torch.arange(6), size=(8, 8), scale=0.3, flip=True, seed=3, **channels, **options)


def test_crop_is_torchvision_s():
    boxes = torch.tensor([[4 / 20, 6 / 24, 10 / 20, 12 / 24]])
    ours = crop_and_resize(IMAGES[:1], boxes, torch.tensor([False]), size=(16, 18))
    theirs = resized_crop(IMAGES[:1].float(), 4, 6, 10, 12, [16, 18], antialias=False)
    # torchvision does not look beyond the crop's edge
    torch.testing.assert_close(ours[..., 2:-2, 2:-2], theirs[..., 2:-2, 2:-2], rtol=1e-4, atol=1e-3)
    mirrored = crop_and_resize(IMAGES[:1], boxes, torch.tensor([True]), size=(16, 18))
    torch.testing.assert_close(mirrored, ours.flip(3), rtol=1e-4, atol=1e-3)


def test_crops_depend_on_seed_epoch_and_index_alone():
    together, _ = crops().__getitems__([6, 7, 8, 9])
    data = crops()
    data.__getitems__([20, 3])
    for place, key in enumerate((6, 7, 8, 9)):
        assert torch.equal(data[key][0], together[place])
    assert not torch.equal(data[0][0], data[6][0])


def test_boxes_lie_within_the_image_and_keep_the_area():
    drawn = torch.cat([crops().draw(epoch) for epoch in range(50)])
    top, left, height, width, mirrored = drawn.unbind(1)
    assert (drawn >= 0).all()
    assert (top + height <= 1 + 1e-6).all()
    assert (left + width <= 1 + 1e-6).all()
    assert (height * width).min() < 0.45
    assert (height * width).min() > 0.25
    assert 0.3 < mirrored.mean() < 0.7
