"""A public CIFAR-10 ResNet-20 keeps its 91.73 % in our network, and every prediction when it is converted."""

import torch

import gmconv_zoo

from .cifar import CORRECT, load_cifar10, needs_cifar10, prepared, public_resnet20


@torch.inference_mode()
def logits(net: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    net = net.to(memory_format=torch.channels_last)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    return torch.cat([net(prepared(batch)) for batch in pixels.split(500)])


@needs_cifar10
def test_it_scores_9173_as_published_and_converted_with_no_prediction_changed():
    plain, (pixels, labels) = public_resnet20(), load_cifar10("test")
    before = logits(plain, pixels)
    assert int((before.argmax(1) == labels).sum()) == CORRECT
    for stem in ("static", "dynamic"):
        after = logits(gmconv_zoo.convert(plain, stem=stem), pixels)
        assert torch.equal(after.argmax(1), before.argmax(1))
        assert float((after - before).abs().max()) < 1e-4
