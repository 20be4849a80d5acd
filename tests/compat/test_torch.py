"""What torch itself offers around a model: capture, transforms, precision, copies, parallel wrappers."""

import copy
import io

import pytest
import timm
import torch
from timm.utils import ModelEmaV3
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

import gmconv_zoo
from gmconv_zoo import DGMConv2d

from .models import consumer, images, model

CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture
def one_process(tmp_path):
    """A process group of gloo, this process alone."""
    address = f"file://{tmp_path}/group"
    torch.distributed.init_process_group("gloo", init_method=address, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.fixture(autouse=True)
def _fresh_dynamo():
    torch._dynamo.reset()


@consumer("torch.compile, one graph, dynamic batch and size")
@torch.no_grad()
def test_one_compiled_graph_serves_several_shapes(name):
    net, graphs = model(name), []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph

    compiled = torch.compile(net, fullgraph=True, dynamic=True, backend=backend)
    x = nn.functional.pad(images(name, 4), (0, 32, 0, 0))  # sizes that are equal are taken for the same one
    for shape in (x, x[:2], nn.functional.pad(x, (0, 16, 0, 32))):
        torch.testing.assert_close(compiled(shape), net(shape), **CLOSE)
    assert len(graphs) == 1


@consumer("torch.compile, one graph, forward and backward")
def test_a_compiled_training_step_has_the_same_gradients(name):
    net, x = model(name), images(name)
    twin = copy.deepcopy(net)
    compiled = torch.compile(twin, fullgraph=True, backend="aot_eager")
    outputs = [forward(x) for forward in (net, compiled)]
    torch.testing.assert_close(*outputs, **CLOSE)
    for out in outputs:
        out.square().mean().backward()
    for (key, ours), theirs in zip(net.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(theirs.grad, ours.grad, rtol=1e-3, atol=1e-4, msg=key)


@consumer("torch.jit.script")
@torch.no_grad()
def test_it_scripts(name):
    net, x = model(name), images(name)
    torch.testing.assert_close(torch.jit.script(net)(x), net(x), **CLOSE)


@consumer("torch.fx feature extraction")
@torch.no_grad()
def test_features_are_taken_out_by_torch_fx(name):
    net, x = model(name), images(name)
    leaves = {"tracer_kwargs": {"leaf_modules": [DGMConv2d, gmconv_zoo.SGMConv2d]}}
    _, nodes = get_graph_node_names(net, **leaves)
    taps = create_feature_extractor(net, [nodes[len(nodes) // 2], nodes[-1]], **leaves)(x)
    torch.testing.assert_close(taps[nodes[-1]], net(x), **CLOSE)


@consumer("torch.func.vmap")
@torch.no_grad()
def test_vmap_over_images_is_the_batch(name):
    net, x = model(name), images(name)
    torch.testing.assert_close(vmap(lambda image: net(image[None])[0])(x), net(x), **CLOSE)


@consumer("per-sample gradients (torch.func)")
def test_per_sample_gradients_are_those_of_single_images(name):
    net, x = model(name), images(name, 2)
    parameters = {key: value.detach() for key, value in net.named_parameters() if "norm" not in key}
    kept = {key: value for key, value in parameters.items() if value.numel() < 100_000}

    def loss(chosen, image):
        return functional_call(net, chosen, (image[None],)).square().mean()

    found = vmap(grad(loss), in_dims=(None, 0))(kept, x)
    for index in range(len(x)):
        net.zero_grad()
        net(x[index : index + 1]).square().mean().backward()
        for key, value in net.named_parameters():
            if key in kept:
                torch.testing.assert_close(found[key][index], value.grad, rtol=1e-3, atol=1e-4, msg=key)


@consumer("autocast, bfloat16 and float16")
def test_autocast_trains_with_finite_gradients_near_float32(name):
    x = images(name)
    for dtype in (torch.bfloat16, torch.float16):
        net = model(name)
        with torch.autocast("cpu", dtype):
            out = net(x)
            out.float().square().mean().backward()
        expected = model(name)(x)
        assert (out.float() - expected).abs().max() <= 0.05 * expected.abs().max()
        assert all(torch.isfinite(p.grad).all() for p in net.parameters())


@consumer("channels_last")
@torch.no_grad()
def test_channels_last_keeps_the_numbers(name):
    net, x = model(name), images(name)
    expected = net(x)
    there = net.to(memory_format=torch.channels_last)
    torch.testing.assert_close(there(x.contiguous(memory_format=torch.channels_last)), expected, **CLOSE)


@consumer("DistributedDataParallel (gloo)")
def test_ddp_trains_every_parameter(name, one_process):
    net, x = model(name), images(name)
    wrapped = nn.parallel.DistributedDataParallel(net)
    wrapped(x).square().mean().backward()
    assert all(p.grad is not None for p in net.parameters())


@consumer("FSDP2 fully_shard (gloo)")
def test_fully_shard_takes_a_step(name, one_process):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    net, x = model(name), images(name)
    expected = net(x)
    fully_shard(net, mesh=init_device_mesh("cpu", (1,)))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    out = net(x)
    torch.testing.assert_close(out, expected, **CLOSE)
    nn.functional.cross_entropy(out, torch.arange(len(x))).backward()
    assert all(p.grad is not None for p in net.parameters())
    before = {key: p.full_tensor().clone() for key, p in net.named_parameters()}
    optimizer.step()
    assert any(not torch.equal(before[key], p.full_tensor()) for key, p in net.named_parameters())


@consumer("EMA (timm, torch)")
def test_averages_follow_the_masks(name):
    net = model(name)
    ema, swa = ModelEmaV3(net, decay=0.5), torch.optim.swa_utils.AveragedModel(net)
    sigma = [key for key, _ in net.named_parameters() if key.endswith(".sigma")][-1]
    with torch.no_grad():
        for key, value in net.named_parameters():
            if key.endswith(("sigma", "fc.bias")):
                value.add_(1.0)
    ema.update(net)
    swa.update_parameters(net)
    moved = net.get_parameter(sigma)
    torch.testing.assert_close(ema.module.get_parameter(sigma), moved - 0.5)  # halfway from where it was
    torch.testing.assert_close(swa.module.get_parameter(sigma), moved)


@consumer("deepcopy, pickle")
@torch.no_grad()
def test_copies_compute_the_same(name):
    net, x, stream = model(name), images(name, 1), io.BytesIO()
    torch.save(net, stream)
    stream.seek(0)
    for twin in (copy.deepcopy(net), torch.load(stream, weights_only=False)):
        assert torch.equal(twin(x), net(x))


@consumer("meta device")
@torch.no_grad()
def test_built_on_the_meta_device_it_only_needs_the_state_dict(name):
    net, x = model(name), images(name, 1)
    with torch.device("meta"):
        twin = timm.create_model(name, num_classes=net.num_classes).eval()
    assert all(tensor.is_meta for tensor in twin.state_dict().values())
    twin.load_state_dict(net.state_dict(), assign=True)
    assert torch.equal(twin(x), net(x))


@consumer("BatchNorm folding")
@torch.no_grad()
def test_batch_norm_folds_into_the_fused_network(name):
    net, x = gmconv_zoo.fuse(model(name)), images(name)
    expected, folded = net(x), 0
    pairs = [(a, b) for a, b in zip(list(net.named_modules()), list(net.named_modules())[1:], strict=False)]
    for (first, conv), (second, norm) in pairs:
        if type(conv) is nn.Conv2d and isinstance(norm, nn.BatchNorm2d):
            parent, _, child = first.rpartition(".")
            setattr(net.get_submodule(parent), child, fuse_conv_bn_eval(conv, norm))
            parent, _, child = second.rpartition(".")
            act = getattr(norm, "act", nn.Identity())  # timm's norm layers carry the activation
            setattr(net.get_submodule(parent), child, act)
            folded += 1
    if not folded:
        pytest.skip("no BatchNorm in this network")
    torch.testing.assert_close(net(x), expected, rtol=1e-3, atol=1e-4)


def test_inductor_compiles_a_dynamic_stem_for_any_batch():
    """The only test here that generates code; the rows of the table use the back ends that stop before."""
    net = gmconv_zoo.convert(nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)))
    nn.init.normal_(net[0].sigma_module.fc.weight, std=0.3)
    compiled = torch.compile(net, fullgraph=True, dynamic=True)
    with torch.no_grad():
        for batch in (2, 3):
            x = images("gmconv_resnet18", batch)
            torch.testing.assert_close(compiled(x), net(x), **CLOSE)
