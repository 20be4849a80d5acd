"""The figures of a network's masks, and the numbers next to them."""

import copy
import math

import pytest
import timm
import torch
from PIL import Image
from torch import nn

from gmconv_zoo.files.records import read_rows
from gmconv_zoo.layers import SGMConv2d
from gmconv_zoo.visualize.draw_model import draw_model
from gmconv_zoo.visualize.images import network_input
from gmconv_zoo.visualize.mask_figures import draw_kernel_sizes, draw_masks, draw_sigmas
from gmconv_zoo.visualize.masks import effective_size, layer_masks, stage_masks
from gmconv_zoo.visualize.profiles import draw_construction, draw_profiles
from tests.engine.nets import tiny_net


def images(count: int = 5) -> torch.Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def dynamic_net() -> nn.Module:
    """A tiny network whose stem gives every image a sigma of its own."""
    net = tiny_net()
    with torch.no_grad():
        net[0].sigma_module.fc.weight.fill_(1.0)
    return net


def rows_of(path) -> list[dict[str, str]]:
    return read_rows(path.with_suffix(".csv"))


def test_flat_mask_holds_half_of_its_sum_in_half_of_its_area():
    for share in (0.5, 0.9, 0.99):
        assert effective_size(torch.ones(7, 7), share) == pytest.approx(7 * share**0.5)
    spike = torch.zeros(4, 5)
    spike[1:3, 2] = 1.0  # an even side has two taps at its centre, each half of a square of side 2
    assert effective_size(spike, 0.5) == pytest.approx(1.0)
    assert effective_size(torch.ones(1, 4), 0.5) == pytest.approx(2.0)


def test_layer_masks_are_the_masks_the_layers_apply():
    net = tiny_net()
    with torch.no_grad():
        net[2].sigma.fill_(-0.8)
        net[0].sigma_module.fc.bias.copy_(torch.tensor([1.5, 0.5]))  # the same for every image
    stem, body = layer_masks(net, images())
    assert (stem.name, stem.dynamic, body.name, body.dynamic) == ("0", True, "2", False)
    torch.testing.assert_close(body.values(), net[2].mask().detach())
    torch.testing.assert_close(stem.values(), net[0].mask(images())[0].detach())
    assert (stem.horizontal, stem.vertical) == pytest.approx((1.5, 0.75))
    assert (stem.sigma_text(), body.sigma_text()) == (r"1.5$\times$0.8", "0.80")
    with pytest.raises(ValueError, match="no Gaussian mask"):
        layer_masks(nn.Linear(2, 2))


def test_stages_have_the_mean_of_their_masks():
    model = timm.create_model("sgmconv_cifar_resnet20", layers=(1, 1, 1))
    with torch.no_grad():
        model.layer1[0].conv1.sigma.fill_(1.0)
    masks = layer_masks(model)
    assert [mask.stage for mask in masks] == ["stem", *(f"stage {n}" for n in (1, 1, 2, 2, 3, 3))]
    mean = (model.layer1[0].conv1.mask() + model.layer1[0].conv2.mask()).detach() / 2
    torch.testing.assert_close(stage_masks(masks)["stage 1", (3, 3)], mean)


def test_table_of_masks_has_every_tap_and_the_means(figures, tmp_path):
    model = timm.create_model("sgmconv_cifar_resnet20", layers=(1, 1, 1), sigma_init=2.0)
    rows = rows_of(draw_masks(layer_masks(model), tmp_path / "masks.png"))
    assert len(rows) == (7 + 4) * 9
    corner = next(row for row in rows if row["layer"] == "layer1.0.conv1")
    assert float(corner["mask"]) == pytest.approx(math.exp(-2 / 8), rel=1e-4)
    assert {row["stage"] for row in rows if row["layer"] == "mean"} == {"stem", "stage 1", "stage 2", "stage 3"}
    net = nn.Sequential(*(SGMConv2d(1, 1, (3, 5), sigma_init=sigma) for sigma in (5.0, 1.0, 2.0)))
    rows = rows_of(draw_masks(layer_masks(net), tmp_path / "wide.png"))[15:]
    own = [layer.mask().flatten().tolist() for layer in net]
    mean = [(one + other) / 2 for one, other in zip(*own[1:], strict=True)]
    assert [float(row["mask"]) for row in rows] == pytest.approx([*own[1], *own[2], *own[0], *mean], rel=1e-4)
    assert (rows[4]["tap_row"], rows[4]["tap_column"]) == ("0", "4")
    shown = {axes.get_title(): axes.images[0].get_array().ravel().tolist() for axes in figures[1].axes if axes.images}
    assert shown["mean of\nother layers"] == pytest.approx(mean)  # than the stem
    draw_masks(layer_masks(nn.Sequential(nn.Conv2d(1, 1, 3), *net[1:])), tmp_path / "without_stem.png")
    assert "mean of\nall layers" in {axes.get_title() for axes in figures[2].axes}


def test_table_of_sigmas_has_one_number_per_static_layer_and_quartiles_over_images(figures, tmp_path):
    masks = layer_masks(dynamic_net(), images())
    horizontal, vertical, static = rows_of(draw_sigmas(masks, tmp_path / "sigmas.svg"))
    assert (horizontal["layer"], horizontal["images"], static["direction"]) == ("0", "5", "both")
    assert float(horizontal["minimum"]) < float(horizontal["median"]) < float(horizontal["maximum"])
    assert float(vertical["median"]) == pytest.approx(masks[0].samples[:, 1].median().item(), rel=1e-4)
    assert static["minimum"] == static["maximum"] == "5"
    samples = masks[0].samples[:, 0]
    expected = [samples.mean().item(), *samples.quantile(torch.tensor([0.25, 0.75])).tolist()]
    found = [float(horizontal[name]) for name in ("mean", "quartile_1", "quartile_3")]
    assert found == pytest.approx(expected, rel=1e-4)
    assert masks[0].horizontal == pytest.approx(expected[0])
    line = next(line for line in figures[0].axes[0].lines if line.get_label() == "static layer")
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([1], [5.0])


def test_table_of_kernel_sizes_follows_sigma(tmp_path):
    layers = (SGMConv2d(1, 1, kernel, sigma_init=sigma) for kernel, sigma in ((7, 1.0), (7, 200.0), ((3, 5), 1.0)))
    net = nn.Sequential(*layers)
    narrow, flat, wide = rows_of(draw_kernel_sizes(layer_masks(net), tmp_path / "sizes.png"))
    assert float(narrow["side_50_percent"]) < 3 < float(flat["side_50_percent"]) < 7 * 0.5**0.5
    assert float(flat["side_99_percent"]) == pytest.approx(7 * 0.99**0.5, rel=1e-3)
    assert (wide["kernel_height"], wide["kernel_width"]) == ("3", "5")


def test_profiles_and_construction_are_equations_3_to_6(tmp_path):
    rows = rows_of(draw_profiles(tmp_path / "profiles.png"))
    centre = next(row for row in rows if float(row["distance"]) == 0 and float(row["sigma"]) == 2)
    assert (float(centre["density"]), float(centre["mask"])) == (pytest.approx(0.199471, rel=1e-5), 1.0)
    for row in rows_of(draw_construction(tmp_path / "construction.png")):
        assert float(row["mask"]) == pytest.approx(float(row["horizontal"]) * float(row["vertical"]), abs=1e-5)


def test_network_is_drawn_next_to_its_twin(tmp_path):
    twin = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 5, padding=2))
    pictures = draw_model(dynamic_net(), tmp_path / "out", images(), twins=[twin, copy.deepcopy(twin)])
    names = ["masks", "sigmas", "kernel_sizes", "profiles", "construction", "receptive_field"]
    assert [path.name for path in pictures] == [f"{name}.png" for name in names]
    assert all(path.is_file() and rows_of(path) for path in pictures)
    sides = {row["network"]: row["side_px"] for row in rows_of(pictures[-1])}  # of 99 %, the last share
    assert sides == {"Sequential": "5", "Sequential (2)": "7", "Sequential (3)": "7"}
    (picture,) = draw_model(twin, tmp_path / "first", images(), layer="0")
    assert {row["layer"] for row in rows_of(picture)} == {"0"}


def test_network_without_masks_gets_its_receptive_field_and_a_field_that_is_cut_off_is_said(tmp_path, caplog):
    (picture,) = draw_model("stdconv_cifar_resnet20.cifar10", tmp_path / "net", layer=1)
    assert picture.name == "receptive_field.png"
    assert "stdconv_cifar_resnet20.cifar10 has no Gaussian masks" in caplog.text
    net = nn.Conv2d(3, 4, 3)
    net.pretrained_cfg = {"input_size": (3, 8, 8), "test_input_size": (3, 10, 12)}
    row = rows_of(*draw_model(net, tmp_path / "noise"))[0]
    assert (row["height_px"], row["width_px"]) == ("10", "12")  # noise of the size that images are tested at
    assert network_input(net, [Image.new("RGB", (40, 40))]).shape == (1, 3, 10, 12)
    draw_model(nn.Conv2d(3, 4, 9, padding=4), tmp_path / "small", torch.rand(1, 3, 5, 5))
    assert "the image cuts the receptive field" in caplog.text


def test_output_that_exists_and_a_dynamic_network_without_images_or_the_layer_are_refused(tmp_path):
    with pytest.raises(ValueError, match="pass images"):
        draw_model(tiny_net(), tmp_path / "none")
    with pytest.raises(ValueError, match="no such layer"):
        draw_model(tiny_net(), tmp_path / "none", images(), layer="conv")
    assert not (tmp_path / "none").exists()
    (tmp_path / "receptive_field.png").touch()
    with pytest.raises(ValueError, match=r"receptive_field.png exists: .*--overwrite"):
        draw_model(nn.Conv2d(3, 4, 3), tmp_path)
    with pytest.raises(ValueError, match="is a file"):
        draw_model(nn.Conv2d(3, 4, 3), tmp_path / "receptive_field.png")
    draw_model(nn.Conv2d(3, 4, 3), tmp_path, images(), overwrite=True)
    assert (tmp_path / "receptive_field.png").stat().st_size
