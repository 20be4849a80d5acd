"""S-GMConv against a plain convolution with an explicitly masked kernel."""

import inspect

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from gmconv_zoo.layers import DGMConv2d, SGMConv2d

from .cases import GEOMETRIES, IN, OUT, SAME_WITH_STRIDE, SAMES, plain_layer
from .test_masks import gaussian_by_loop


@pytest.mark.parametrize("geometry", [*GEOMETRIES, *SAMES])
def test_output_is_the_convolution_with_the_masked_kernel(geometry):
    layer = SGMConv2d(IN, OUT, **geometry, sigma_init=1.5, dtype=torch.float64)
    plain = plain_layer(geometry, dtype=torch.float64)
    kernel = layer.weight * gaussian_by_loop(1.5, 1.5, layer.kernel_size)
    plain.load_state_dict({**layer.state_dict(), "weight": kernel}, strict=False)
    for size in (11, 12, 17):
        x = torch.randn(2, IN, size, size + 1, dtype=torch.float64)
        torch.testing.assert_close(layer(x), plain(x), rtol=0, atol=1e-12)
        torch.testing.assert_close(layer(x[0]), plain(x)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("geometry", [*GEOMETRIES, SAME_WITH_STRIDE])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_fuse_keeps_outputs(geometry, dtype, tolerance):
    layer = SGMConv2d(IN, OUT, **geometry, sigma_init=0.8, dtype=dtype).eval()
    fused = layer.fuse()
    x = torch.randn(2, IN, 13, 12, dtype=dtype)
    expected = layer(x)
    assert not isinstance(fused, SGMConv2d)
    assert isinstance(fused, Conv2dSame) is (geometry is SAME_WITH_STRIDE)
    assert set(fused.state_dict()) == set(layer.state_dict()) - {"sigma"}
    assert (fused(x) - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("kind", [SGMConv2d, DGMConv2d])
@pytest.mark.parametrize(
    ("built", "edits"),
    [
        ({"stride": 2, "padding": 1}, {"stride": (1, 1), "padding": (2, 2), "dilation": (2, 2)}),
        ({"padding": 1}, {"stride": 2, "padding": 3, "dilation": 3}),
        ({"padding": 1}, {"padding": "same", "dilation": (3, 1)}),
        ({"padding": "same"}, {"padding": "valid"}),
        ({"padding": "same", "stride": 2}, {"padding": (0, 1)}),
        ({"padding": "same", "stride": 2}, {"stride": 1}),
        ({"padding": 1}, {"padding_mode": "reflect"}),
        ({"padding": 1, "padding_mode": "circular"}, {"padding_mode": "zeros"}),
        ({"padding": 1, "padding_mode": "reflect"}, {"padding": (2, 2), "dilation": (2, 2)}),
        ({"padding": "same", "padding_mode": "replicate"}, {"stride": 2}),
    ],
)
def test_geometry_that_is_changed_after_building_counts(kind, built, edits):
    layer, x = kind(IN, OUT, (3, 4), **built, sigma_init=1.5), torch.randn(2, IN, 11, 12)
    for name, value in edits.items():
        setattr(layer, name, value)
    plain = nn.Conv2d(IN, OUT, (3, 4), **{**built, **edits, "stride": 1})
    plain.stride = {**built, **edits}.get("stride", 1)
    kernel = layer.weight * gaussian_by_loop(1.5, 1.5, layer.kernel_size)
    plain.load_state_dict({"weight": kernel, "bias": layer.bias})
    scripted, fused = torch.jit.script(layer), layer.fuse() if kind is SGMConv2d else layer
    for computed in (layer, scripted, fused):
        torch.testing.assert_close(computed(x), plain(x))


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("frozen", ["weight", "bias", "sigma", None])
def test_fuse_keeps_what_is_trainable_and_the_mode(frozen, train):
    layer = SGMConv2d(IN, OUT, 3).train(train)
    if frozen:
        getattr(layer, frozen).requires_grad_(False)
    fused = layer.fuse()
    assert {name: p.requires_grad for name, p in fused.named_parameters()} == {
        name: name != frozen for name in ("weight", "bias")
    }
    assert fused.training is train


@pytest.mark.parametrize("geometry", [GEOMETRIES[0], GEOMETRIES[2], GEOMETRIES[4]])
def test_gradcheck(geometry):
    layer = SGMConv2d(IN, OUT, **geometry, sigma_init=1.2, dtype=torch.float64)

    def run(x, weight, sigma):
        return torch.func.functional_call(layer, {"weight": weight, "sigma": sigma}, (x,))

    x = torch.randn(2, IN, 6, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(run, (x, layer.weight, layer.sigma))


@pytest.mark.parametrize("kernel", [5, 4, (1, 7)])
@pytest.mark.parametrize("kind", [SGMConv2d, DGMConv2d])
@pytest.mark.parametrize("sigma", [0.0, 1e-8, -5.0, 1e4])
def test_extreme_sigmas_give_finite_outputs_and_gradients(kind, sigma, kernel):
    layer = kind(IN, OUT, kernel)
    nn.init.constant_(layer.sigma if kind is SGMConv2d else layer.sigma_module.fc.bias, sigma)
    out = layer(torch.randn(2, IN, 9, 9))
    out.square().sum().backward()
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters())


def test_autocast_masks_in_float32():
    layer = SGMConv2d(IN, OUT, 11, padding=5, sigma_init=2.0)
    x = torch.randn(2, IN, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        mask, out = layer.mask(), layer(x)
    assert torch.equal(mask, layer.mask())
    assert mask.dtype == torch.float32
    assert out.dtype == torch.bfloat16
    assert (out - layer(x)).abs().max() < 0.02 * layer(x).abs().max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_layer_rounds_the_masked_kernel_once(dtype):
    layer = SGMConv2d(IN, OUT, 5, sigma_init=1.7).to(dtype)
    once = (layer.weight.float() * layer.mask()).to(dtype)
    assert layer.mask().dtype == torch.float32
    assert torch.equal(layer.masked_weight(), once)
    assert torch.equal(layer.fuse().weight, once)
    x = torch.randn(2, IN, 8, 8, dtype=dtype)
    assert torch.equal(layer(x), layer.fuse()(x))
    assert layer(x).dtype == dtype


def test_channels_last_is_kept():
    layer = SGMConv2d(IN, OUT, 3).to(memory_format=torch.channels_last)
    x = torch.randn(2, IN, 8, 8).contiguous(memory_format=torch.channels_last)
    assert layer(x).is_contiguous(memory_format=torch.channels_last)
    assert layer.fuse().weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("layer", [SGMConv2d, DGMConv2d])
def test_arguments_are_those_of_torchs_layer_by_place_and_by_name(layer):
    torchs, own = (inspect.signature(cls).parameters for cls in (nn.Conv2d, layer))
    places = [(name, own[name].default) for name in own if own[name].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert places == [(name, parameter.default) for name, parameter in torchs.items()]
    named = {"stride": 2, "padding": 1, "dilation": 2, "groups": 2, "bias": False, "padding_mode": "reflect"}
    made = layer(IN, OUT, 3, *named.values(), "meta", torch.float16)
    assert {name: getattr(made, name) for name in ("stride", "padding", "dilation", "groups", "padding_mode")} == {
        "stride": (2, 2), "padding": (1, 1), "dilation": (2, 2), "groups": 2, "padding_mode": "reflect",
    }  # fmt: skip
    assert made.bias is None
    assert {(p.device.type, p.dtype) for p in made.parameters()} == {("meta", torch.float16)}


def test_sigma_starts_at_the_papers_5_and_learns():
    layer = SGMConv2d(IN, OUT, 3)
    assert layer.sigma.tolist() == [5.0]
    assert layer.sigma.requires_grad
    nn.init.constant_(layer.sigma, 1.0)
    layer(torch.ones(1, IN, 3, 3)).sum().backward()
    kernel, sigma = layer.weight.detach().sum((0, 1)), 1.0
    distance = torch.tensor([[2.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 2.0]])  # squared, in taps
    by_hand = (kernel * distance / sigma**3 * torch.exp(-distance / (2 * sigma**2))).sum()
    torch.testing.assert_close(layer.sigma.grad[0], by_hand, rtol=1e-4, atol=1e-5)


def test_repr_shows_sigma():
    assert "sigma=2.5" in repr(SGMConv2d(3, 4, 3, sigma_init=2.5))
    assert "sigma=meta" in repr(SGMConv2d(3, 4, 3, device="meta"))
    assert "sigma=dynamic (ratio, bias 5, 1)" in repr(DGMConv2d(3, 4, 3))


@pytest.mark.parametrize("kind", [SGMConv2d, DGMConv2d])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": 1}, "1x1 mask is identically 1"),
        ({"kernel_size": 1, "sigma_init": "kernel"}, "1x1 mask"),
        ({"kernel_size": 3, "sigma_init": "wide"}, "sigma_init='wide': pass a finite number"),
        ({"kernel_size": 3, "sigma_init": None}, "sigma_init=None: pass a finite number"),
        ({"kernel_size": 3, "sigma_init": 0.0}, "sigma_init=0.0"),
        ({"kernel_size": 3, "sigma_init": -2.0}, "above 0"),
        ({"kernel_size": 3, "sigma_init": float("nan")}, "finite"),
        ({"kernel_size": 3, "sigma_init": float("inf")}, "finite"),
        ({"kernel_size": (0, 3)}, "at least 1 tap"),
        ({"kernel_size": 3, "padding": "sane"}, "Invalid padding string"),
        ({"kernel_size": 3, "stride": 2, "padding": "same", "padding_mode": "circular"}, "pads with zeros"),
        ({"kernel_size": 3, "groups": 3}, "divisible by groups"),
    ],
)
def test_bad_arguments_are_refused(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(IN, OUT, **arguments)
