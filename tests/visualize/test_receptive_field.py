"""The effective receptive field against loops over taps, published behaviour and theory."""

import itertools
import math

import pytest
import timm
import torch
from matplotlib.figure import Figure
from timm.layers import Conv2dSame
from torch import nn

from gmconv_zoo.layers import DGMConv2d, SGMConv2d
from gmconv_zoo.visualize.receptive_field import ReceptiveField, receptive_field, target_layer
from gmconv_zoo.visualize.receptive_field_figure import draw_field, draw_receptive_fields, field_row


def stack(channels: int = 2) -> nn.Sequential:
    """Two masked layers in float64, the first with a stride, with weights of both signs."""
    torch.manual_seed(0)
    layers = (
        SGMConv2d(channels, 3, 5, stride=2, padding=2, bias=False, sigma_init=1.5),
        SGMConv2d(3, 2, 3, padding=1, bias=False, sigma_init=0.8),
    )
    return nn.Sequential(*layers).double()


def by_hand(net: nn.Sequential, size: int) -> torch.Tensor:
    """The rectified gradient of the centre, tap by tap: every path from the centre output to a pixel."""
    first, second = net
    taps = [
        layer.weight.detach()
        * torch.tensor(
            [
                [math.exp(-((u - r) ** 2 + (v - r) ** 2) / (2 * layer.sigma.item() ** 2)) for v in range(2 * r + 1)]
                for u in range(2 * r + 1)
            ]
        )
        for layer, r in ((first, 2), (second, 1))
    ]
    middle = (size + 1) // 2
    gradient = torch.zeros(first.in_channels, size, size, dtype=torch.float64)
    for out, mid, u, v in itertools.product(range(2), range(3), range(3), range(3)):
        y, x = middle // 2 + u - 1, middle // 2 + v - 1
        for channel, p, q in itertools.product(range(first.in_channels), range(5), range(5)):
            row, column = 2 * y + p - 2, 2 * x + q - 2
            if 0 <= row < size and 0 <= column < size:
                gradient[channel, row, column] += taps[1][out, mid, u, v] * taps[0][mid, channel, p, q]
    return gradient.clamp(min=0).sum(0)


@pytest.mark.parametrize("size", [15, 16, 6])  # the field has 9 pixels
def test_field_of_constructed_layers_is_the_one_computed_by_hand(size, capfd):
    net = stack()
    images = torch.randn(3, 2, size, size, dtype=torch.float64)
    found = receptive_field(net, images, batch_size=2, progress=True)
    torch.testing.assert_close(found.map, by_hand(net, size), rtol=1e-6, atol=1e-6)
    assert (found.layer, found.images) == ("1", 3)
    assert "receptive field" in capfd.readouterr().err


def test_static_network_has_no_gradient_outside_its_theoretical_field():
    net = nn.Sequential(
        SGMConv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(), nn.BatchNorm2d(4), SGMConv2d(4, 4, 3, padding=1)
    )
    with torch.no_grad():
        for layer in (net[0], net[3]):
            layer.weight.abs_()
    found = receptive_field(net, torch.rand(2, 3, 21, 21)).map
    inside = torch.zeros(21, 21, dtype=torch.bool)
    inside[7:14, 7:14] = True  # 3 + 2 * 2 pixels around the centre
    assert (found[inside] > 0).all()
    assert not found[~inside].any()


def test_dynamic_stem_reaches_every_pixel_only_through_its_sigma():
    stem = DGMConv2d(1, 1, 3, padding=1, sigma_init=1.0)
    with torch.no_grad():
        for parameter in (stem.weight, stem.sigma_module.fc_max.weight, stem.sigma_module.fc_avg.weight):
            parameter.fill_(0.5)
        stem.sigma_module.fc.weight.fill_(0.1)
    images = torch.rand(2, 1, 15, 15) + 0.5
    detached, attached = (receptive_field(stem, images, layer="", through_sigma=flag).map for flag in (False, True))
    assert int((detached > 0).sum()) == 9
    assert (attached > 0).all()
    assert torch.equal(receptive_field(stem, images, layer="").map, detached)


@pytest.mark.parametrize(("options", "side"), [({"sigma_init": 5.0}, 15), ({"sigma_init": 1.0}, 9)])
def test_smaller_sigma_narrows_the_first_stage_of_resnet50(options, side):
    torch.manual_seed(0)
    model = timm.create_model("sgmconv_resnet50", zero_init_last=False, **options)
    found = receptive_field(model, torch.randn(1, 3, 64, 64), layer=1)
    assert found.layer == "layer1"
    assert abs(found.side(0.5) - side) <= 2


def test_sides_and_ratios_are_those_of_centred_squares():
    field = ReceptiveField("", 1, torch.ones(5, 9, dtype=torch.float64))
    assert (field.side(9 / 45), field.area_ratio(9 / 45)) == (3, 9 / 45)
    assert (field.side(25 / 45), field.area_ratio(25 / 45)) == (5, 25 / 45)
    assert (field.side(1.0), field.area_ratio(1.0)) == (9, 1.0)
    assert field.is_cut_off
    spike = torch.zeros(4, 6).index_put((torch.tensor(2), torch.tensor(3)), torch.tensor(1.0))
    assert ReceptiveField("", 1, spike).side(1.0) == 1  # an even map has its centre after the middle
    row = field_row("net", field, 9 / 45)
    assert [row[name] for name in ("height_px", "width_px", "side_px", "area_ratio", "cut_off")] == [5, 9, 3, 0.2, True]
    picture = draw_field(axes := Figure().subplots(), field, reach=99, title="", shares={9 / 45: "-"})
    assert picture.get_extent() == [-4.5, 4.5, 2.5, -2.5]  # the first row is on top
    assert (axes.get_xlim(), axes.get_ylim()) == ((-4.5, 4.5), (2.5, -2.5))
    assert axes.patches[0].get_bbox().bounds == (-1.5, -1.5, 3, 3)
    with pytest.raises(ValueError, match="share=50"):
        field.side(50)
    pixel = receptive_field(timm.create_model("stdconv_cifar_resnet20").eval(), torch.rand(2, 3, 1, 1))
    assert (pixel.side(0.99), pixel.area_ratio(0.99), pixel.is_cut_off) == (1, 1.0, True)


@pytest.mark.parametrize(
    ("layer", "first", "last"),
    [
        (lambda: nn.Conv2d(1, 1, 3, stride=2, padding=1), 17, 31),  # around 3 * 8, as in a ResNet
        (lambda: Conv2dSame(1, 1, 3, stride=2), 24, 38),  # as TensorFlow pads
        (lambda: nn.Conv2d(1, 1, 2, stride=2), 24, 31),  # patches
    ],
)
def test_squares_are_centred_on_what_the_centre_of_an_odd_map_looks_at(layer, first, last):
    net = nn.Sequential(layer(), layer(), layer())
    for parameter in net.parameters():
        nn.init.ones_(parameter)
    field = receptive_field(net, torch.rand(1, 1, 56, 72))
    rows, columns = ((field.map.sum(1 - axis) > 0).nonzero().flatten() for axis in (0, 1))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (first, last, first + 8, last + 8)
    assert field.centre == ((first + last) // 2, (first + last) // 2 + 8)
    side = last - first + 1 + (last - first) % 2  # which is odd
    assert field.side(1.0) == side
    assert field.area_ratio(1.0) == side**2 / (56 * 72)
    assert not field.is_cut_off
    picture = draw_field(Figure().subplots(), field, reach=99, title="", shares={})
    left, _, _, top = picture.get_extent()
    assert (left, top) == (-field.centre[1] - 0.5, -field.centre[0] - 0.5)


def test_gaussian_is_fitted_to_the_map():
    y, x = torch.meshgrid(*[torch.arange(41, dtype=torch.float64) - 20] * 2, indexing="ij")
    field = ReceptiveField("", 1, 7 * torch.exp(-(x**2) / (2 * 3**2) - y**2 / (2 * 5**2)))
    assert field.gaussian == pytest.approx((3, 5), rel=1e-4)
    row = field_row("net", field, 0.5)
    assert (row["sigma_x_px"], row["sigma_y_px"]) == field.gaussian
    assert all(map(math.isnan, ReceptiveField("", 1, torch.ones(1, 1)).gaussian))


def test_network_keeps_its_mode_its_gradients_and_its_hooks():
    net = nn.Sequential(DGMConv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)).train()
    net[1].eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    images = torch.rand(2, 3, 9, 9)
    with torch.inference_mode():
        first = receptive_field(net, images, layer="1").map
    assert net.training
    assert not net[1].training
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(receptive_field(net, images, layer="1").map, first)
    sigma1, _ = net[0].sigma_module(images)
    assert sigma1.requires_grad


def test_layer_before_one_that_works_in_place_is_the_layer_itself():
    net = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Identity(), nn.ReLU(inplace=True))
    with torch.no_grad():
        net[0].weight.fill_(1.0)
        net[0].bias.fill_(-100.0)  # the ReLU lets nothing through
    assert int((receptive_field(net, torch.rand(1, 1, 7, 7), layer="0").map > 0).sum()) == 9


def test_map_with_channels_last_has_its_centre_in_the_middle_of_the_picture():
    model = timm.create_model("convnext_tiny", depths=(1, 1, 1, 1), dims=(8, 8, 8, 8))
    found = receptive_field(model, torch.rand(1, 3, 64, 64), layer="stages.0.blocks.0.mlp.fc1").map
    rows, columns = (found > 0).nonzero().unbind(1)
    assert (rows.min(), rows.max()) == (columns.min(), columns.max())
    assert 16 < rows.min() < rows.max() < 48
    conv = nn.Conv2d(3, 9, 3, padding=1)  # as many channels as rows
    nn.init.ones_(conv.weight)
    assert int((receptive_field(conv, torch.rand(1, 3, 9, 9), layer="").map > 0).sum()) == 9


@pytest.mark.parametrize(
    ("name", "layer", "found"),
    [
        ("sgmconv_resnet18", None, "layer4"),
        ("convnext_atto", 1, "stages.0"),
        ("mobilenetv2_100", 1, "blocks.0"),
    ],
)
def test_stage_is_its_last_module(name, layer, found):
    with torch.device("meta"):
        model = timm.create_model(name)
    assert target_layer(model, layer)[0] == found


def test_stage_does_not_hold_the_stem_next_to_it():
    net = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.ReLU()))
    net.conv_stages = (("0.1",),)
    assert target_layer(net, 1)[0] == "0.1"


def test_layer_that_cannot_be_had_is_named_with_some_that_can():
    model = timm.create_model("sgmconv_cifar_resnet20")
    for layer, message in (
        ("layer1.0.conv9", r"no such layer.*'layer1\.0\.conv"),
        (7, "stages 1 to 3, for example 'layer3"),
        ("fc", r"gives \[1, 10\]: choose a layer with a feature map"),
    ):
        with pytest.raises(ValueError, match=message):
            receptive_field(model, torch.rand(1, 3, 8, 8), layer=layer)


def test_layers_that_do_not_run_and_gradients_that_do_not_exist_are_refused():
    net = nn.Conv2d(1, 1, 3, padding=1)
    net.unused = nn.Conv2d(1, 1, 1)
    with pytest.raises(ValueError, match="does not run"):
        receptive_field(net, torch.rand(1, 1, 5, 5), layer="unused")
    with torch.no_grad():
        net.weight.zero_()
    with pytest.raises(ValueError, match="no positive, finite gradient"):
        receptive_field(net, torch.rand(1, 1, 5, 5), layer="")
    with pytest.raises(ValueError, match="no convolution"):
        receptive_field(nn.ReLU(), torch.rand(1, 1, 5, 5))
    for images in (torch.rand(1, 5, 5), torch.rand(0, 1, 5, 5), torch.ones(1, 1, 5, 5, dtype=torch.uint8), ["a.png"]):
        with pytest.raises(ValueError, match="expected a float tensor"):
            receptive_field(net, images)


def test_figure_writes_every_side_and_every_map(figures, tmp_path):
    net, images = stack(), torch.randn(1, 2, 13, 17, dtype=torch.float64)
    fields = {
        "masked": receptive_field(net, images),
        "a$\\frac$": receptive_field(net, images, layer="0"),
        "b$": receptive_field(net, images),
    }
    path = draw_receptive_fields(fields, tmp_path / "new" / "field.png")
    assert path.is_file()
    rows = path.with_suffix(".csv").read_text().splitlines()
    assert len(rows) == 1 + 3 * 4
    line = figures[0].axes[3].lines[0]
    assert line.get_xdata()[:3].tolist() == [1, 3, 5]
    assert line.get_ydata().tolist() == pytest.approx((100 * fields["masked"].held).tolist())
    assert f"0.5,{fields['masked'].side(0.5)}," in rows[3]
    first = [[float(cell) for cell in line.split(",")] for line in (tmp_path / "new/field_map1.csv").open()]
    torch.testing.assert_close(torch.tensor(first).double(), fields["masked"].map, rtol=1e-4, atol=1e-6)
