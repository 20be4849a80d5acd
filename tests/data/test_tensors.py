import pytest
import torch
from torchvision.transforms import functional as reference

from gmconv_zoo.data.tensors import EpochSampler, TensorImages, tensor_loader

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def pictures(count=10, **options):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, 3, 6, 5), generator=generator, dtype=torch.uint8)
    return TensorImages(images, torch.arange(count), mean=MEAN, std=STD, **options)


def epoch_of(loader, epoch):
    if isinstance(loader.sampler, EpochSampler):
        loader.sampler.set_epoch(epoch)
    batches = list(loader)
    return torch.cat([images for images, _ in batches]), torch.cat([labels for _, labels in batches])


def test_images_are_normalised_as_torchvision_does():
    data = pictures()
    images, labels = epoch_of(tensor_loader(data, 4), 0)
    expected = torch.stack([reference.normalize(image.float() / 255, MEAN, STD) for image in data.images])
    torch.testing.assert_close(images, expected, rtol=1e-5, atol=1e-5)
    assert labels.tolist() == list(range(10))


@pytest.mark.parametrize("batch_size", [1, 3, 10, 64])
def test_every_image_comes_exactly_once_in_a_new_order_each_epoch(batch_size):
    loader = tensor_loader(pictures(), batch_size, shuffle=True)
    orders = [epoch_of(loader, epoch)[1].tolist() for epoch in range(3)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_order_and_augmentation_depend_on_seed_epoch_and_image_but_not_on_the_batch():
    runs = []
    for seed, batch_size, epoch in ((1, 3, 5), (1, 20, 5), (2, 20, 5), (1, 20, 6)):
        torch.manual_seed(len(runs))
        loader = tensor_loader(pictures(20, crop_padding=2, flip=True, seed=seed), batch_size, shuffle=True)
        images, labels = epoch_of(loader, epoch)
        runs.append((labels.tolist(), images[labels.argsort()]))
    (order, images), (same_order, same), *others = runs
    assert order == same_order
    assert torch.equal(images, same)
    for other_order, other in others:
        assert order != other_order
        assert not torch.equal(images, other)
    assert torch.equal(loader.dataset.__getitems__(range(100, 120))[0], images)  # epoch 5 again, after 6


@pytest.mark.parametrize(("flip", "ways"), [(True, 18), (False, 9)])
def test_every_augmented_image_is_a_crop_of_the_padded_original(flip, ways):
    data = pictures(200, crop_padding=1, flip=flip)
    seen = set()
    for index in range(200):
        ((image,), _) = data.__getitems__([index])
        padded = torch.nn.functional.pad(data.images[index], [1] * 4)
        candidates = {}
        for top in range(3):
            for left in range(3):
                crop = padded[:, top : top + 6, left : left + 5]
                for mirrored in (False, True):
                    pixels = crop.flip(2) if mirrored else crop
                    candidates[top, left, mirrored] = reference.normalize(pixels.float() / 255, MEAN, STD)
        found = [key for key, pixels in candidates.items() if torch.allclose(image, pixels, atol=1e-5)]
        assert len(found) == 1, index
        seen.update(found)
    assert len(seen) == ways
    assert flip or not any(mirrored for _, _, mirrored in seen)


@pytest.mark.parametrize(("multiple", "sizes"), [(4, [2, 2, 2, 2]), (3, [2, 2, 2, 2, 1]), (11, [2] * 5), (10, [2] * 5)])
def test_images_beyond_a_multiple_are_left_out_of_an_epoch(multiple, sizes):
    assert [len(labels) for _, labels in tensor_loader(pictures(), 2, shuffle=True, multiple=multiple)] == sizes


def test_images_are_augmented_on_the_device_they_lie_on():
    """The meta device computes shapes only, and refuses what lies on another one."""
    pixels = torch.zeros(6, 3, 6, 6, dtype=torch.uint8)
    data = TensorImages(pixels, torch.zeros(6).long(), mean=MEAN, std=STD, flip=True).to("meta")
    images, labels = data.__getitems__([7, 9, 8])
    assert images.device.type == labels.device.type == "meta"
    assert images.shape == data.to("meta").__getitems__([0, 2, 3])[0].shape
