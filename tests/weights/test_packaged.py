"""Weights that ship inside the package: checked like any other, without a request."""

import os
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from gmconv_zoo.models._build import default_cfgs_of
from gmconv_zoo.weights import fetch as fetch_module
from gmconv_zoo.weights.check import sha256_of
from gmconv_zoo.weights.errors import WeightsError
from gmconv_zoo.weights.specs import SPECS, WeightSpec
from tests.weights.client_tools import create

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
    cfg = default_cfgs_of(spec.model, first_conv="conv1", pool_size=(8, 8), num_classes=10, mean=(0, 0, 0))
    assert {key: cfg[spec.name][key] for key in own} == own
    assert cfg[spec.name]["pool_size"] == (8, 8)
