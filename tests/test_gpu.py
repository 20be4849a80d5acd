"""The same numbers on a CUDA device: every form, low precision, channels_last, compiled, as a CUDA graph.

Run with ``python -m pytest -m gpu`` on a machine that has one.
"""

import copy
import functools

import pytest
import torch
from torch import nn

import gmconv_zoo
from gmconv_zoo.data.tensors import TensorImages
from gmconv_zoo.layers import FORMS, DGMConv2d

from .conversion.networks import awake, plain

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
DEVICE = "cuda"
NAMES = [
    "gmconv_cifar_resnet20",
    "gmconv_resnet18",
    "gmconv_mobilenetv2",
    "gmconv_alexnet",
    "sgmconv_resnet18",
    "gmconv_convnext_atto",
]
GEOMETRIES = [
    {"kernel_size": 7, "stride": 2, "padding": 3},
    {"kernel_size": 3, "padding": 1, "groups": 2},
    {"kernel_size": 5, "padding": "same", "bias": False},
]


@pytest.fixture(autouse=True)
def _full_float32():
    """Without TF32, so that float32 on the device can be compared with float32 on the CPU."""
    kept = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = kept


model = functools.partial(awake, num_classes=5)


def images(batch: int = 4, size: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, 3, size, size, generator=generator) + torch.arange(batch).reshape(-1, 1, 1, 1)


@pytest.mark.parametrize("form", [*FORMS, None])
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_every_form_agrees_with_the_cpu_forwards_and_backwards(geometry, form, memory_format):
    torch.manual_seed(0)
    layer = DGMConv2d(4, 8, **geometry)
    nn.init.normal_(layer.sigma_module.fc.weight, std=0.3)
    x = torch.randn(5, 4, 17, 16) + torch.arange(5).reshape(5, 1, 1, 1)
    expected = layer(x)
    expected.square().mean().backward()
    there = copy.deepcopy(layer).to(DEVICE, memory_format=memory_format)
    there.zero_grad()
    there.form = form
    out = there(x.to(DEVICE, memory_format=memory_format))
    out.square().mean().backward()
    torch.testing.assert_close(out.cpu(), expected, rtol=1e-4, atol=1e-4)
    for ours, theirs in zip(there.parameters(), layer.parameters(), strict=True):
        torch.testing.assert_close(ours.grad.cpu(), theirs.grad, rtol=1e-3, atol=1e-4)
    for batch in (0, 1):
        assert there(x[:batch].to(DEVICE)).shape[0] == batch


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_models_agree_with_the_cpu(name):
    net, x = model(name), images()
    expected = net(x)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        there = copy.deepcopy(net).to(DEVICE, memory_format=memory_format)
        got = there(x.to(DEVICE, memory_format=memory_format)).cpu()
        assert (got - expected).abs().max() <= 1e-3 * expected.abs().max()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_trains_with_finite_gradients_and_float32_sigmas(name, dtype):
    net, x = model(name).to(DEVICE).train(), images().to(DEVICE)
    with torch.autocast(DEVICE, dtype):
        loss = nn.functional.cross_entropy(net(x).float(), torch.tensor([0, 1, 2, 3], device=DEVICE))
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())
    for module in net.modules():
        if isinstance(module, DGMConv2d):
            with torch.autocast(DEVICE, dtype):
                sigma1, _ = module.sigma_module(x)
            assert sigma1.dtype == torch.float32


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_compiled_in_one_graph(name):
    net, x = model(name).to(DEVICE), images().to(DEVICE)
    compiled = torch.compile(net, fullgraph=True)
    for batch in (4, 2):
        expected = net(x[:batch])
        assert (compiled(x[:batch]) - expected).abs().max() <= 1e-3 * expected.abs().max()


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_replayed_as_a_cuda_graph(name):
    net, x = model(name).to(DEVICE), images().to(DEVICE)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            net(x)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = net(x)
    other = images().flip(0).to(DEVICE)
    x.copy_(other)
    graph.replay()
    torch.testing.assert_close(out, net(other), rtol=1e-4, atol=1e-4)


def test_convert_and_fuse_stay_on_the_device():
    net = plain("resnet18", num_classes=5).to(DEVICE)
    converted = gmconv_zoo.convert(net)
    fused = gmconv_zoo.fuse(converted)
    assert {p.device.type for p in [*converted.parameters(), *fused.parameters()]} == {DEVICE}
    x = images().to(DEVICE)
    with torch.no_grad():
        expected = net(x)
        assert (converted(x) - expected).abs().max() <= 1e-4 * expected.abs().max()
        assert (fused(x) - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_images_are_augmented_on_the_device_as_on_the_cpu():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (20, 3, 32, 32), generator=generator, dtype=torch.uint8)
    settings = {"mean": (0.5,) * 3, "std": (0.25,) * 3, "crop_padding": 4, "flip": True, "seed": 3}
    here, there = (TensorImages(pixels, torch.arange(20), **settings) for _ in range(2))
    there.to(DEVICE)
    keys = [3, 27, 41, 0]
    for expected, found in zip(here.__getitems__(keys), there.__getitems__(keys), strict=True):
        assert found.device.type == DEVICE
        torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-4)
