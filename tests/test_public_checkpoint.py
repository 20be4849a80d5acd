"""A public CIFAR-10 ResNet-20 keeps its 91.73 % in our network, and every prediction when it is converted."""

import pytest
import torch

import gmconv_zoo

from .cifar import CORRECT, load_cifar10, needs_cifar10, prepared, public_resnet20


@pytest.fixture(scope="module")
def images() -> tuple[torch.Tensor, torch.Tensor]:
    return load_cifar10("test")


@pytest.fixture(scope="module")
def plain() -> torch.nn.Module:
    return public_resnet20()


@torch.inference_mode()
def logits(net: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    net = net.to(memory_format=torch.channels_last)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    return torch.cat([net(prepared(batch)) for batch in pixels.split(500)])


@pytest.fixture(scope="module")
def published(plain, images) -> torch.Tensor:
    return logits(plain, images[0])


@needs_cifar10
def test_cifar10_reader_gives_every_test_image_its_label(images):
    pixels, labels = images
    assert pixels.shape == (10_000, 3, 32, 32)
    assert torch.bincount(labels).tolist() == [1000] * 10
    assert pixels.float().std() > 50


@needs_cifar10
@pytest.mark.parametrize("stem", ["static", "dynamic"])
def test_it_scores_9173_as_published_and_converted_with_no_prediction_changed(plain, images, published, stem):
    pixels, labels = images
    before = published
    assert int((before.argmax(1) == labels).sum()) == CORRECT
    converted = gmconv_zoo.convert(plain, stem=stem)
    after = logits(converted, pixels)
    assert int((after.argmax(1) == labels).sum()) == CORRECT
    assert torch.equal(after.argmax(1), before.argmax(1))
    assert float((after - before).abs().max()) < 1e-4


@needs_cifar10
@pytest.mark.slow
@pytest.mark.parametrize("sigma_init", [0.5, 1.0])
def test_narrow_masks_keep_it_too(plain, images, sigma_init):
    pixels, labels = images
    after = logits(gmconv_zoo.convert(plain, sigma_init=sigma_init), pixels)
    assert int((after.argmax(1) == labels).sum()) == CORRECT
    assert int((logits(gmconv_zoo.fuse(gmconv_zoo.convert(plain)), pixels).argmax(1) == labels).sum()) == CORRECT
