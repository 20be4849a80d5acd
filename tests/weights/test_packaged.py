"""Weights that ship inside the package: they are checked like any other, and load without a connection."""

import os
import socket
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

import gmconv_zoo
from gmconv_zoo.models._build import default_cfgs_of
from gmconv_zoo.weights import fetch as fetch_module
from gmconv_zoo.weights.check import sha256_of
from gmconv_zoo.weights.errors import WeightsError
from gmconv_zoo.weights.specs import SPECS, WeightSpec, specs_of
from tests.cifar import DATA, load_cifar10
from tests.weights.client_tools import create

SHIPPED = [name for name, spec in SPECS.items() if spec.packaged]
MASKED = [name for name in SHIPPED if not name.startswith("stdconv_")]
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MODEL = "gmconv_cifar_resnet20"


@pytest.fixture
def spec(tmp_path, monkeypatch):
    """A native spec whose file lies, as seen from the package, elsewhere."""
    torch.manual_seed(0)
    path = tmp_path / "weights.safetensors"
    save_file(timm.create_model(MODEL).state_dict(), path)
    packaged = os.path.relpath(path, Path(fetch_module.__file__).parent)
    spec = WeightSpec(
        MODEL, "packaged", "native", "apache-2.0", "a test", packaged=packaged, num_classes=10, sha256=sha256_of(path)
    )
    monkeypatch.setitem(SPECS, spec.name, spec)
    return spec


def test_packaged_weights_load_and_leave_no_path_of_this_machine(spec):
    torch.manual_seed(0)
    expected = timm.create_model(MODEL).state_dict()
    model = create(spec)
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())
    assert model.pretrained_cfg["file"] == spec.packaged


def test_damaged_or_missing_package_file_asks_for_a_new_installation(spec, tmp_path):
    path = tmp_path / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"damaged.*Install gmconv_zoo again"):
        create(spec)
    path.unlink()
    with pytest.raises(WeightsError, match=r"missing from this installation. Install gmconv_zoo again"):
        create(spec)


def test_a_spec_of_other_classes_and_statistics_needs_no_change_elsewhere(monkeypatch):
    own = {"num_classes": 100, "mean": (0.5, 0.4, 0.3), "std": (0.3, 0.2, 0.1), "crop_pct": 0.9}
    spec = WeightSpec("sgmconv_cifar_resnet56", "made", "native", "apache-2.0", "a test", packaged="none", **own)
    monkeypatch.setitem(SPECS, spec.name, spec)
    cfg = default_cfgs_of("cifar_resnet56", first_conv="conv1", pool_size=(8, 8), num_classes=10, mean=(0, 0, 0))
    assert {key: cfg[spec.name][key] for key in own} == own
    assert cfg[spec.name]["pool_size"] == (8, 8)


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_args: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.mark.parametrize("name", SHIPPED)
def test_weights_load_by_bare_name_and_tag_and_for_other_classes_without_a_connection(name, offline):
    spec = SPECS[name]
    assert specs_of(spec.model)[0] is spec
    net, untrained = timm.create_model(name, pretrained=True), timm.create_model(name)
    tagged, bare = net.state_dict(), timm.create_model(spec.model, pretrained=True).state_dict()
    assert all(torch.equal(value, bare[key]) for key, value in tagged.items())
    other = timm.create_model(name, pretrained=True, num_classes=3).state_dict()
    assert other["fc.weight"].shape[0] == 3
    assert all(torch.equal(value, tagged[key]) for key, value in other.items() if not key.startswith("fc."))
    assert tuple(net.pretrained_cfg["label_names"]) == CIFAR10
    assert not untrained.pretrained_cfg["label_names"]  # random weights know no classes
    if name in MASKED:
        start, sigmas = untrained.gmconv_conversion.sigma_init, gmconv_zoo.sigmas(net)
        assert any(abs(value - start) > 0.01 * start for values in sigmas.values() for value in values)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("sigma_design", "pair", "was trained with 'ratio'"),
        ("stages", (1,), "was trained with None"),
        ("sigma_init", 1.0, "its sigmas, which started at 5.0"),
    ],
)
def test_another_conversion_than_the_trained_one_is_refused(key, value, said):
    with pytest.raises(ValueError, match=rf"{key}=.*{said}; pass {key}=.*, or pretrained=False"):
        timm.create_model("gmconv_cifar_resnet20.gm_cifar10", pretrained=True, **{key: value})


def test_a_state_dict_of_the_users_own_takes_the_place_of_the_shipped_one():
    mine = timm.create_model("gmconv_cifar_resnet20").state_dict()
    overlay = {"state_dict": mine}
    net = timm.create_model("gmconv_cifar_resnet20", pretrained=True, pretrained_cfg_overlay=overlay)
    assert all(torch.equal(value, mine[key]) for key, value in net.state_dict().items())


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "cifar10").exists(), reason=f"needs CIFAR-10 under {DATA}")
@pytest.mark.parametrize("name", SHIPPED)
@torch.inference_mode()
def test_the_documented_accuracy_is_reached_on_all_test_images(name):
    pixels, labels = load_cifar10("test")
    net = timm.create_model(name, pretrained=True).eval()
    config = timm.data.resolve_model_data_config(net)
    mean, std = (torch.tensor(config[key]).reshape(3, 1, 1) for key in ("mean", "std"))
    predicted = torch.cat([net((batch / 255 - mean) / std).argmax(1) for batch in pixels.split(500)])
    correct = int((predicted == labels).sum())
    assert abs(correct - round(SPECS[name].measured.top1 * 100)) <= 2  # other processors round otherwise
