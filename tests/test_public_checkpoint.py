"""A public CIFAR-10 ResNet-20 keeps its 91.73 % in our network, and every prediction when it is converted."""

import pytest
import timm
import torch

import gmconv_zoo

from .cifar import DATA, load_cifar10

CORRECT = 9173
CHECKPOINT = DATA / "weights" / "cifar10_resnet20-12fca82f.th"
needs_cifar10 = pytest.mark.skipif(
    not (CHECKPOINT.exists() and (DATA / "cifar10").exists()),
    reason=f"needs the public checkpoint and CIFAR-10 under {DATA}",
)


@pytest.fixture(scope="module")
def images() -> tuple[torch.Tensor, torch.Tensor]:
    return load_cifar10("test")


@pytest.fixture(scope="module")
def plain() -> torch.nn.Module:
    tensors = torch.load(CHECKPOINT, weights_only=True, map_location="cpu")["state_dict"]
    names = {key: key.removeprefix("module.").replace("linear.", "fc.") for key in tensors}
    net = timm.create_model("stdconv_cifar_resnet20").eval()
    net.load_state_dict({names[key]: value for key, value in tensors.items()})
    return net


@torch.inference_mode()
def logits(net: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    mean = torch.tensor((0.485, 0.456, 0.406)).reshape(3, 1, 1)
    std = torch.tensor((0.229, 0.224, 0.225)).reshape(3, 1, 1)
    net = net.to(memory_format=torch.channels_last)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    return torch.cat([net((batch / 255 - mean) / std) for batch in pixels.split(500)])


@pytest.fixture(scope="module")
def published(plain, images) -> torch.Tensor:
    return logits(plain, images[0])


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
