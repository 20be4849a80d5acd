"""D-GMConv against one masked convolution per sample, in every form and every way it is compiled or exported."""

import copy

import pytest
import torch
from timm.layers import set_exportable
from torch.nn import functional as F

from gmconv_zoo.layers import FORMS, DGMConv2d, SGMConv2d, elliptical_mask, per_sample_conv
from gmconv_zoo.layers.dynamic import SIGMA_DESIGNS

from .cases import GEOMETRIES, IN, OUT, SAME_WITH_STRIDE, SAMES, plain_layer
from .test_masks import gaussian_by_loop


def images(batch: int = 5, dtype: torch.dtype = torch.float32, size: tuple[int, int] = (13, 12)) -> torch.Tensor:
    """Samples whose channel means differ, so that mixed-up masks show."""
    means = torch.linspace(-2, 3, max(batch * IN, 1), dtype=dtype)[: batch * IN].reshape(batch, IN, 1, 1)
    return torch.randn(batch, IN, *size, dtype=dtype) + means


def dynamic(geometry: dict, **kwargs) -> DGMConv2d:
    """A layer whose sigmas really depend on the sample: the last layer does not start at zero here."""
    layer = DGMConv2d(IN, OUT, **geometry, sigma_init=1.5, **kwargs)
    module = layer.sigma_module
    width = module.fc.in_features
    with torch.no_grad():
        module.fc_max.weight.copy_(torch.linspace(-0.2, 0.6, width * IN).reshape(width, IN, 1, 1))
        module.fc_avg.weight.copy_(torch.linspace(0.5, -0.1, width * IN).reshape(width, IN, 1, 1))
        module.fc.weight.copy_(torch.linspace(-0.2, 0.3, module.fc.weight.numel()).reshape(-1, width))
    return layer


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("geometry", [*GEOMETRIES, *SAMES])
def test_every_sample_is_convolved_with_its_own_masked_kernel(geometry, form):
    torch.manual_seed(0)
    layer, plain = dynamic(geometry, dtype=torch.float64), plain_layer(geometry, dtype=torch.float64)
    layer.form = form
    for size in (11, 12, 17):
        x = images(3, torch.float64, (size, size + 1))
        out = layer(x)
        sigmas = torch.stack(layer.sigma_module(x), 1).abs().tolist()
        assert len({horizontal for horizontal, _ in sigmas}) == len(x)
        for b, (horizontal, vertical) in enumerate(sigmas):
            kernel = layer.weight * gaussian_by_loop(horizontal, vertical, layer.kernel_size)
            plain.load_state_dict({**layer.state_dict(), "weight": kernel}, strict=False)
            torch.testing.assert_close(out[b], plain(x[b : b + 1])[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("channels", "width"), [(1, 1), (3, 4), (16, 24), (64, 96)])
def test_hidden_width_is_that_of_equation_7(channels, width):
    module = DGMConv2d(channels, 2, 3).sigma_module
    assert module.fc_max.weight.shape == module.fc_avg.weight.shape == (width, channels, 1, 1)
    assert module.fc.weight.shape == (2, width)


def test_a_sigma_module_starts_at_the_papers_5_or_the_kernels_sigma_with_positive_weights_on_the_maxima():
    layer = DGMConv2d(3, 2, 7)
    module = layer.sigma_module
    assert module.fc.bias.tolist() == [5.0, 1.0]
    assert DGMConv2d(3, 2, 7, sigma_init=1.3, dtype=torch.float64).sigma_module.fc.bias.tolist() == [1.3, 1.0]
    assert not module.fc.weight.any()
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert (module.fc_max.weight > 0).all()
    assert (module.fc_avg.weight < 0).any()
    assert (DGMConv2d(3, 2, 7).sigma_module.fc_max.weight != module.fc_max.weight).all()
    assert DGMConv2d(3, 2, 7, sigma_init="kernel").sigma_module.fc.bias.tolist() == [3.0, 1.0]
    corners = DGMConv2d(3, 2, (4, 7), sigma_init="kernel").mask(torch.rand(2, 3, 8, 8))[:, :: 4 - 1, :: 7 - 1]
    torch.testing.assert_close(corners, torch.full((2, 2, 2), -1.0).exp())


def initialise(module: torch.nn.Module) -> None:
    """As many training scripts initialise a network."""
    if isinstance(module, torch.nn.Linear):
        torch.nn.init.normal_(module.weight, std=0.01)
        torch.nn.init.zeros_(module.bias)


def reset(module: torch.nn.Module) -> None:
    if hasattr(module, "reset_parameters"):
        module.reset_parameters()


def fill(module: torch.nn.Module) -> None:
    """As `to_empty` may, for a network that was built on the meta device."""
    for parameter in module.parameters(recurse=False):
        torch.nn.init.constant_(parameter, -7.0)


@pytest.mark.parametrize("again", [[fill, reset], [initialise]])
@pytest.mark.parametrize("layer", [SGMConv2d, DGMConv2d])
def test_a_network_that_is_initialised_again_starts_with_the_same_masks(layer, again):
    net = layer(3, 2, 7, sigma_init=1.3)
    if layer is DGMConv2d:
        net.set_hidden_channels(5)
    for function in again:
        for module in net.modules():
            function(module)
    if layer is SGMConv2d:
        torch.testing.assert_close(net.sigma.detach(), torch.tensor([1.3]))
        return
    torch.testing.assert_close(net.sigma_module.fc.bias.detach(), torch.tensor([1.3, 1.0]))
    assert not net.sigma_module.fc.weight.any()
    assert (net.sigma_module.fc_max.weight > 0).all()


@pytest.mark.parametrize("shift", [0.0, -9.0])
def test_revival_makes_dead_units_live_and_keeps_the_sigmas(shift):
    layer, x = DGMConv2d(3, 2, 3), torch.randn(6, 3, 8, 8) + shift
    module = layer.sigma_module
    with torch.no_grad():
        module.fc.weight.normal_()
        for fc in (module.fc_max, module.fc_avg):
            fc.weight[1], fc.weight[3] = -1.0 if shift == 0 else 1.0, 0.0
        module.fc_max.weight[1] *= 9
    before, kept = torch.stack(module(x)), module.fc_max.weight[0].clone()
    dead = (module.hidden(x) == 0).all(0).nonzero().flatten().tolist()
    assert {1, 3} <= set(dead)
    assert module.revive(x) == dead
    assert ((module.hidden(x) > 0).float().mean(0)[dead] >= 0.5).all()
    assert torch.equal(torch.stack(module(x)), before)
    assert torch.equal(module.fc.weight[:, dead], torch.zeros(2, len(dead)))
    assert module.revive(x) == []
    if 0 not in dead:
        assert torch.equal(module.fc_max.weight[0], kept)


def test_revival_draws_from_the_generator_it_is_given():
    def revived(shift: float = 0.0):
        module = DGMConv2d(3, 2, 3).sigma_module
        with torch.no_grad():
            module.fc_max.weight.zero_()
            module.fc_avg.weight.zero_()
        module.revive(torch.rand(4, 3, 5, 5) + shift, generator=torch.Generator().manual_seed(7))
        return torch.stack([module.fc_max.weight, module.fc_avg.weight])

    assert torch.equal(revived(), revived())
    assert revived().abs().max() <= 3**-0.5
    largest, mean = revived().flatten(2)
    assert (largest.sign().sum(1).abs() == 3).all()  # of one sign in each unit, as at the start
    assert (mean.sign().sum(1).abs() < 3).any()
    assert torch.equal(revived(9.0), -revived(-9.0))  # a unit that would be 0 is negated as a whole
    module = DGMConv2d(1, 2, 3).sigma_module
    module.fc_avg.weight.data.zero_()
    assert module.revive(torch.tensor([-1.0, -1.0, 1.0]).reshape(3, 1, 1, 1)) == []  # one live image is enough


@pytest.mark.parametrize("design", SIGMA_DESIGNS)
def test_sigma_module_is_the_papers_two_layers_on_the_concatenated_pools(design):
    layer = dynamic(GEOMETRIES[0], sigma_design=design, dtype=torch.float64)
    module, x = layer.sigma_module, images(dtype=torch.float64)
    pooled = torch.cat([F.adaptive_max_pool2d(x, 1), F.adaptive_avg_pool2d(x, 1)], dim=1).flatten(1)
    first = torch.cat([module.fc_max.weight, module.fc_avg.weight], dim=1).flatten(1)
    hidden = F.relu(F.linear(pooled, first))
    predicted = F.linear(hidden, module.fc.weight, module.fc.bias)
    sigma1, sigma2 = module(x)
    torch.testing.assert_close(module.hidden(x), hidden)
    torch.testing.assert_close(sigma1, predicted[:, 0])
    vertical = {"ratio": predicted[:, 0] * predicted[:, -1], "pair": predicted[:, -1], "single": predicted[:, 0]}
    torch.testing.assert_close(sigma2, vertical[design])
    mask = elliptical_mask(sigma1, sigma2, layer.kernel_size)
    assert torch.equal(layer.mask(x), mask)


@pytest.mark.parametrize(("design", "outputs"), [("ratio", 2), ("pair", 2), ("single", 1)])
def test_designs_of_table_4_start_at_the_static_mask(design, outputs):
    layer = DGMConv2d(IN, OUT, 5, sigma_init=2.0, sigma_design=design)
    static = SGMConv2d(IN, OUT, 5, sigma_init=2.0)
    static.load_state_dict({"weight": layer.weight, "bias": layer.bias, "sigma": static.sigma})
    x = images()
    assert layer.sigma_module.fc.out_features == outputs
    torch.testing.assert_close(layer(x), static(x))
    layer.double().eval().set_hidden_channels(7)  # starts there too
    torch.testing.assert_close(layer(x.double()), static.double()(x.double()))
    assert (layer.sigma_module.fc.in_features, layer.sigma_module.training) == (7, False)


@pytest.mark.parametrize("form", [*FORMS, None])
@pytest.mark.parametrize("geometry", [*GEOMETRIES, SAME_WITH_STRIDE])
def test_batches_of_none_and_one_and_unbatched_images(geometry, form):
    layer = dynamic(geometry)
    layer.form = form
    x = images()
    expected = layer(x)
    assert layer(x[:0]).shape == (0, *expected.shape[1:])
    torch.testing.assert_close(layer(x[:1]), expected[:1])
    torch.testing.assert_close(layer(x[0]), expected[0])


@pytest.mark.parametrize("form", [*FORMS, None])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("geometry", [*GEOMETRIES, SAME_WITH_STRIDE])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_every_form_stays_near_float64_forwards_and_backwards(geometry, memory_format, form, dtype, tolerance):
    torch.manual_seed(0)
    exact = dynamic(geometry, dtype=torch.float64)
    with torch.no_grad():  # so that both start from the same numbers
        for parameter in exact.parameters():
            parameter.copy_(parameter.to(dtype))
    x = images(dtype=torch.float64).to(dtype).contiguous(memory_format=memory_format).requires_grad_()
    x64 = x.detach().double().requires_grad_()
    layer = copy.deepcopy(exact).to(dtype).to(memory_format=memory_format)
    exact.form, layer.form = "matmul", form
    out, expected = layer(x), exact(x64)
    assert (out - expected).abs().max() <= tolerance * expected.abs().max()
    out.sum().backward()
    expected.sum().backward()
    assert (x.grad - x64.grad).abs().max() <= tolerance * x64.grad.abs().max()
    for (name, ours), theirs in zip(layer.named_parameters(), exact.parameters(), strict=True):
        # sigma's gradient is a sum over all taps and pixels that largely cancels: bfloat16 leaves little of it
        of_sigma = name.startswith("sigma_module")
        if of_sigma and dtype is torch.bfloat16:
            continue
        allowed = tolerance * (30 if of_sigma else 1)
        assert (ours.grad - theirs.grad).abs().max() <= allowed * max(theirs.grad.abs().max(), 1), name


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_outputs_in_one_buffer_are_those_that_autograd_joins(monkeypatch, memory_format):
    monkeypatch.setattr(per_sample_conv, "LARGE_OUTPUT", 0)
    layer = dynamic(GEOMETRIES[2]).to(memory_format=memory_format)
    layer.form = "loop"
    x = images().contiguous(memory_format=memory_format)
    expected = layer(x).detach()
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            out = layer(x)
            assert torch.equal(out, expected)
            assert out.stride() == expected.stride()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    with torch.no_grad():
        torch.testing.assert_close(torch.func.vmap(layer)(x[:, None])[:, 0], expected)


def test_small_images_take_one_launch_and_others_the_loop():
    def chosen(
        size: int, stride: int, memory_format: torch.memory_format, batch: int = 2, kernel: int = 3, channels: int = 3
    ) -> str:
        x = torch.empty(batch, channels, size, size).contiguous(memory_format=memory_format)
        return per_sample_conv._best_form(x, torch.empty(batch, 8, channels, kernel, kernel), (stride, stride))

    assert chosen(32, 1, torch.channels_last) == "patches"
    assert chosen(64, 2, torch.channels_last) == "patches"
    assert chosen(64, 1, torch.channels_last) == "loop"
    assert chosen(33, 1, torch.channels_last) == "loop"
    assert chosen(32, 1, torch.channels_last, channels=4) == "patches"  # 36 numbers in a patch
    assert chosen(32, 1, torch.channels_last, channels=5) == "loop"
    assert chosen(32, 1, torch.contiguous_format) == "matmul"
    assert chosen(64, 1, torch.contiguous_format) == "loop"
    assert chosen(64, 1, torch.contiguous_format, batch=1) == "grouped"
    assert chosen(64, 2, torch.contiguous_format, kernel=7) == "loop"  # its patches are larger than its output
    with torch.no_grad():
        assert chosen(32, 1, torch.channels_last) == chosen(32, 1, torch.contiguous_format) == "grouped"
        assert chosen(64, 1, torch.channels_last) == "loop"
    with set_exportable(True):
        assert chosen(64, 1, torch.contiguous_format) == "matmul"


def test_maxima_do_not_depend_on_the_memory_format():
    module = dynamic(GEOMETRIES[0]).sigma_module
    x = images()
    for a, b in zip(module(x), module(x.contiguous(memory_format=torch.channels_last)), strict=True):
        torch.testing.assert_close(a, b)
    gradients = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        leaf = x.clamp(max=0).contiguous(memory_format=memory_format).requires_grad_()  # zeros tie for the maximum
        module.hidden(leaf).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("design", SIGMA_DESIGNS)
def test_gradcheck(form, design):
    layer = dynamic({"kernel_size": 3, "padding": 1}, sigma_design=design, dtype=torch.float64)
    layer.form = form
    names = [name for name, _ in layer.named_parameters()]

    def run(x, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))

    x = images(2, torch.float64, (4, 5)).requires_grad_()
    assert torch.autograd.gradcheck(run, (x, *layer.parameters()))


def test_sigmas_stay_float32_under_autocast():
    layer, x = dynamic(GEOMETRIES[0]), images()
    with torch.autocast("cpu", torch.bfloat16):
        inside, out = layer.sigma_module(x), layer(x)
    for a, b in zip(inside, layer.sigma_module(x), strict=True):
        assert torch.equal(a, b)
    assert out.dtype == torch.bfloat16


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_low_precision_changes_no_sigma_and_rounds_the_masked_kernel_once(dtype, memory_format):
    layer = dynamic(GEOMETRIES[0]).to(dtype)
    layer.form = "loop"
    exact = copy.deepcopy(layer).float()
    x = images().to(dtype).contiguous(memory_format=memory_format)
    for module in (layer.sigma_module, exact.sigma_module):
        for found, expected in zip(module(x), exact.sigma_module(x.float()), strict=True):
            assert found.dtype == torch.float32
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    mask, out = layer.mask(x), layer(x)
    assert mask.dtype == torch.float32
    for b in range(len(x)):
        kernel = (layer.weight.float() * mask[b]).to(dtype)
        assert torch.equal(out[b], F.conv2d(x[b : b + 1], kernel, layer.bias, padding=1)[0])


@pytest.mark.parametrize("form", ["loop", "patches", "grouped", None])
def test_channels_last_is_kept(form):
    layer = dynamic(GEOMETRIES[0])
    layer.form = form
    x = images().contiguous(memory_format=torch.channels_last)
    out = layer(x)
    assert out.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(out, layer(x.contiguous()))


@pytest.mark.parametrize("geometry", [*GEOMETRIES, SAME_WITH_STRIDE])
def test_script_trace_and_fx_keep_the_numbers_at_another_batch_size(geometry):
    layer, x = dynamic(geometry).eval(), images()
    expected = layer(x)
    for exported in (torch.jit.script(layer), torch.jit.trace(layer, x[:2]), torch.fx.symbolic_trace(layer)):
        torch.testing.assert_close(exported(x), expected)


@pytest.mark.parametrize("geometry", [GEOMETRIES[0], GEOMETRIES[2], SAME_WITH_STRIDE])
def test_export_has_a_dynamic_batch(geometry):
    layer, x = dynamic(geometry).eval(), images()
    program = torch.export.export(layer, (x[:3],), dynamic_shapes=({0: torch.export.Dim("batch")},))
    for batch in (1, 2, 5):
        torch.testing.assert_close(program.module()(x[:batch]), layer(x[:batch]))


def test_compiled_code_gathers_no_patches():
    found = []

    def remember(graph, inputs):
        found.extend(str(node.target) for node in graph.graph.nodes)
        return graph.forward

    layer, x = dynamic(GEOMETRIES[0]).eval(), images()
    compiled = torch.compile(layer, backend=remember, fullgraph=True)
    for batch in (3, 5):
        torch.testing.assert_close(compiled(x[:batch]), layer(x[:batch]))
    assert any("conv2d" in name for name in found)
    assert not any("unfold" in name for name in found)  # torch 2.11 calls compiling "exporting" too


def test_vmap_and_per_sample_gradients():
    layer, x = dynamic(GEOMETRIES[0]), images()
    mapped = torch.func.vmap(layer)(x)
    torch.testing.assert_close(mapped, layer(x))

    def loss(weight, sample):
        return torch.func.functional_call(layer, {"weight": weight}, (sample[None],)).square().sum()

    per_sample = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(layer.weight.detach(), x)
    for b in range(len(x)):
        torch.testing.assert_close(per_sample[b], torch.func.grad(loss)(layer.weight.detach(), x[b]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"sigma_design": "triple"}, "sigma_design='triple': pass one of"), ({"hidden_channels": 0}, "hidden_channels=0")],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        DGMConv2d(IN, OUT, 3, **arguments)


def test_wrong_channel_counts_and_unknown_forms_are_refused():
    layer = DGMConv2d(IN, OUT, 3)
    for channels in (1, 3, 5):
        with pytest.raises(ValueError, match=rf"\(batch, 4, height, width\), got \[2, {channels}, 8, 8\]"):
            layer(torch.randn(2, channels, 8, 8))
    layer.form = "fft"
    with pytest.raises(ValueError, match="form='fft': pass one of"):
        layer(images())
