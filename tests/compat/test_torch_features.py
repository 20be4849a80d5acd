"""What torch itself offers for networks works on ours, and keeps the numbers."""

import copy
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from timm.models import FeatureGraphNet
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

import gmconv_zoo
from gmconv_zoo import DGMConv2d

from .cases import MODELS, create, images

pytestmark = [pytest.mark.compat, pytest.mark.timeout(900)]
each_model = pytest.mark.parametrize("model", MODELS)
ROOT = Path(__file__).parents[2]


def assert_same(found: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.consumer("torch.compile, fullgraph")
@each_model
@torch.no_grad()
def test_compile_captures_one_graph(model):
    net, x = create(model), images()
    torch._dynamo.reset()
    assert_same(torch.compile(net, fullgraph=True, backend="aot_eager")(x), net(x))


@pytest.mark.consumer("torch.compile, fullgraph, dynamic shapes")
@each_model
@torch.no_grad()
def test_compile_never_breaks_its_graph_at_other_shapes(model):
    net = create(model)
    torch._dynamo.reset()
    compiled = torch.compile(net, fullgraph=True, dynamic=True, backend="aot_eager")
    for x in (images(3), images(4), images(3, 96)):
        assert_same(compiled(x), net(x))


@pytest.mark.consumer("torch.compile, fullgraph, inductor, a training step")
@each_model
def test_inductor_trains(model):
    net, x = create(model), images()
    twin = copy.deepcopy(net)
    torch._dynamo.reset()
    for network in (torch.compile(net, fullgraph=True), twin):
        network(x).square().mean().backward()
    for (name, ours), theirs in zip(net.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.consumer("torch.export, dynamic batch, height and width")
@each_model
@torch.no_grad()
def test_export_with_dynamic_sizes(model):
    net = create(model)
    dynamic = torch.export.Dim.DYNAMIC
    program = torch.export.export(net, (images(2),), dynamic_shapes={"x": {0: dynamic, 2: dynamic, 3: dynamic}})
    for x in (images(1), images(5), images(2, 96)):
        assert_same(program.module()(x), net(x))


@pytest.mark.consumer("torch.jit.script")
@each_model
@torch.no_grad()
def test_script_survives_a_file(model):
    net, file = create(model), io.BytesIO()
    torch.jit.save(torch.jit.script(net), file)
    file.seek(0)
    loaded = torch.jit.load(file)
    for x in (images(3), images(1, 96)):
        assert_same(loaded(x), net(x))


@pytest.mark.consumer("torch.fx feature extraction")
@each_model
@torch.no_grad()
def test_fx_features(model):
    net, x = create(model), images()
    deepest = len(net.feature_info) - 1
    extractor = FeatureGraphNet(copy.deepcopy(net), out_indices=(deepest,))
    (found,) = extractor(x)
    assert_same(found, net.forward_intermediates(x, indices=[deepest], intermediates_only=True)[0])


@pytest.mark.consumer("torch.func: vmap and per-sample gradients")
@each_model
def test_per_sample_gradients_are_those_of_a_loop(model):
    net, x, labels = create(model), images(), torch.tensor([0, 3, 1])
    parameters = {name: value.detach() for name, value in net.named_parameters()}
    buffers = dict(net.named_buffers())

    def loss(parameters: dict[str, Tensor], sample: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(net, (parameters, buffers), (sample.unsqueeze(0),))
        return nn.functional.cross_entropy(logits, label.unsqueeze(0))

    found = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, x, labels)
    for index in range(len(x)):
        expected = grad(loss)(parameters, x[index], labels[index])
        for name, value in expected.items():
            torch.testing.assert_close(found[name][index], value, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.consumer("autocast to bfloat16 and float16")
@each_model
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_trains_within_its_precision(model, dtype):
    net, x = create(model), images()
    with torch.autocast("cpu", dtype):
        out = net(x)
    out.float().square().mean().backward()
    assert out.dtype == dtype
    assert all(
        p.grad is not None and p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in net.parameters()
    )
    expected = net(x)
    assert float((out - expected).abs().max() / expected.abs().max()) < (0.1 if dtype == torch.bfloat16 else 0.02)


@pytest.mark.consumer("channels_last")
@each_model
@torch.no_grad()
def test_channels_last_is_kept_through_the_stem(model):
    net, x = create(model), images()
    last = copy.deepcopy(net).to(memory_format=torch.channels_last)
    formats = []
    stem = next(module for module in last.modules() if isinstance(module, nn.Conv2d))
    stem.register_forward_hook(
        lambda _module, _inputs, out: formats.append(out.is_contiguous(memory_format=torch.channels_last))
    )
    assert_same(last(x.contiguous(memory_format=torch.channels_last)), net(x))
    assert formats == [True]


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory) -> dict[str, dict[str, str]]:
    """What tests/compat/wrapped.py found in two gloo processes: wrapper -> model -> "" or what went wrong."""
    path = tmp_path_factory.mktemp("wrapped") / "found.json"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1"]
    command = [*torchrun, "--master-port=29541", "-m", "tests.compat.wrapped", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(path.read_text())


@pytest.mark.consumer("DistributedDataParallel")
@each_model
def test_ddp_averages_the_gradients_of_two_processes(model, two_processes):
    assert two_processes["ddp"][model] == ""


@pytest.mark.consumer("FSDP2 (fully_shard)")
@each_model
def test_fsdp_shards_every_parameter_and_trains(model, two_processes):
    assert two_processes["fsdp"][model] == ""


@pytest.mark.consumer("EMA (timm's ModelEmaV3)")
@each_model
@torch.no_grad()
def test_average_follows_the_sigmas(model):
    net = create(model)
    ema = ModelEmaV3(net, decay=0.5)
    before = {name: value.clone() for name, value in net.named_parameters()}
    for parameter in net.parameters():
        parameter.add_(1.0)
    ema.update(net)
    for name, value in ema.module.named_parameters():
        assert_same(value, before[name] + 0.5)
    assert ema.module(images()).isfinite().all()


@pytest.mark.consumer("deepcopy, pickle, torch.save")
@each_model
@torch.no_grad()
def test_copies_compute_the_same(model):
    net, file, x = create(model), io.BytesIO(), images()
    expected = net(x)
    torch.save(net, file)
    file.seek(0)
    for other in (copy.deepcopy(net), torch.load(file, weights_only=False)):
        assert torch.equal(other(x), expected)


@pytest.mark.consumer("construction on the meta device")
@each_model
@torch.no_grad()
def test_network_from_the_meta_device_lacks_nothing_but_its_state_dict(model):
    net, x = create(model), images()
    with torch.device("meta"):
        empty = timm.create_model(model, num_classes=5)
    filled = empty.to_empty(device="cpu").eval()
    filled.load_state_dict(net.state_dict())
    assert torch.equal(filled(x), net(x))


@pytest.mark.consumer("BatchNorm folding (torch.fx), after fusing")
@each_model
@torch.no_grad()
def test_batch_norms_fold_into_fused_convolutions(model):
    from torch.fx.experimental.optimization import fuse as fold

    net, x = create(model), images()
    folded = fold(gmconv_zoo.fuse(net))
    left = [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]
    dynamic = [module for module in net.modules() if isinstance(module, DGMConv2d)]
    has_norms = any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    assert len(left) == (len(dynamic) if has_norms else 0)
    assert_same(folded(x), net(x))
