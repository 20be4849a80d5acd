"""What int8 quantisation hands to torchao, seen through a stand-in; tests/compat runs torchao itself."""

import importlib
import sys
from unittest.mock import MagicMock

import pytest
import torch
from torch import nn

import gmconv_zoo
from gmconv_zoo import SGMConv2d

PT2E = "torchao.quantization.pt2e"


class Recorder(nn.Module):
    """The prepared graph: keeps what it is calibrated on."""

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.graph, self.seen = graph, []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert not torch.is_grad_enabled()
        self.seen.append(images)
        return self.graph(images)


@pytest.fixture
def quantize_int8(monkeypatch):
    """`quantize_int8` whose result is the `Recorder`, with attributes that say how it was made."""

    def finish(recorder: Recorder) -> Recorder:
        recorder.calibrated = len(recorder.seen)
        return recorder

    names = ("", ".quantize_pt2e", ".quantizer", ".quantizer.x86_inductor_quantizer")
    pt2e, steps, *quantizers = (MagicMock() for _ in names)
    pt2e.move_exported_model_to_eval = lambda recorder: setattr(recorder, "in_eval", True)
    steps.prepare_pt2e, steps.convert_pt2e = lambda graph, _: Recorder(graph), finish
    for name, module in zip(names, (pt2e, steps, *quantizers), strict=True):
        monkeypatch.setitem(sys.modules, f"{PT2E}{name}", module)
    for name in ("torchao", "torchao.quantization"):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    monkeypatch.delitem(sys.modules, "gmconv_zoo.export.quantize", raising=False)
    yield importlib.import_module("gmconv_zoo.export.quantize").quantize_int8
    sys.modules.pop("gmconv_zoo.export.quantize")


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return gmconv_zoo.convert(nn.Sequential(*layers), stem="static").train()


@pytest.mark.parametrize("kind", [list, iter])
def test_all_batches_calibrate_a_fused_network_in_eval_mode(quantize_int8, kind):
    net, batches = network(), [torch.randn(size, 3, 8, 8) for size in (2, 5, 3)]
    found = quantize_int8(net, kind(batches))
    assert [images.shape for images in found.seen] == [images.shape for images in batches]
    assert all(torch.equal(seen, images) for seen, images in zip(found.seen, batches, strict=True))
    assert found.calibrated == len(batches)
    assert found.in_eval
    assert net.training
    assert isinstance(net[0], SGMConv2d)
    assert not any("sigma" in name for name, _ in found.graph.named_parameters())
    torch.testing.assert_close(found.graph(batches[1]), net.eval()(batches[1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batches", [[], [torch.randn(1, 3, 8, 8)], [torch.randn(3, 8, 8)]])
def test_too_few_images_are_refused(quantize_int8, batches):
    with pytest.raises(ValueError, match=r"at least one .* batch of at least 2 prepared images"):
        quantize_int8(network(), batches)
