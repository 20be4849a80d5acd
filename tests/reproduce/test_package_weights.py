"""Weights that are put into the package are the trained ones, load by name, and say what was measured."""

import json

import pytest
import timm
import torch

import gmconv_zoo
from gmconv_zoo.cli.command import run
from gmconv_zoo.hub.cards import card_of
from gmconv_zoo.hub.measured import choose_measured
from gmconv_zoo.hub.publish import spec_row
from gmconv_zoo.weights import fetch as fetch_module
from gmconv_zoo.weights.specs import SPECS, Metric, Stem, WeightSpec
from reproduce import package_weights
from reproduce.package_weights import package
from tests.hub.folders import saved_run
from tests.weights.client_tools import create

NAMES = [f"class {i}" for i in range(10)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return saved_run(tmp_path_factory.mktemp("gm"), label_names=NAMES)


@pytest.fixture
def spec(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_module, "__file__", str(tmp_path / "fetch.py"))
    spec = package(
        folder, "made", measured=choose_measured(folder), source="a test", recipe="none", destination=tmp_path
    )
    monkeypatch.setitem(SPECS, spec.name, spec)
    return spec


def test_packaged_network_is_the_trained_one_with_its_classes(spec, folder):
    model, trained_one = create(spec), gmconv_zoo.load(folder)
    expected = trained_one.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())
    assert spec.packaged == "gmconv_cifar_resnet20.made.safetensors"
    assert spec.label_names == tuple(NAMES)
    assert (spec.conversion, spec.hf_hub_id, spec.recipe) == ("native", "", "none")


def test_card_has_the_measured_number_and_the_printed_row_makes_the_spec(spec):
    assert "| top-1 (%) | 91.25 | none published | none for this recipe |" in card_of(spec)
    assert eval(spec_row(spec), {"WeightSpec": WeightSpec, "Metric": Metric, "Stem": Stem}) == spec


def test_packaged_weights_are_replaced_only_when_asked(spec, folder, tmp_path):
    again = {"measured": None, "source": "a test", "destination": tmp_path}
    with pytest.raises(ValueError, match="exists: choose another one, or pass overwrite"):
        package(folder, "made", **again)
    assert package(folder, "made", overwrite=True, **again).sha256 == spec.sha256


def test_large_files_and_networks_of_another_conversion_are_refused(folder, tmp_path, monkeypatch):
    """A tag is built with its family's conversion: "pair" has the shapes of "ratio", and other outputs."""
    wanted = {"measured": None, "source": "a test", "destination": tmp_path}
    net = timm.create_model("gmconv_cifar_resnet20", sigma_design="pair")
    pair = gmconv_zoo.save(net, tmp_path / "pair")
    with pytest.raises(ValueError, match="trained with sigma_design='pair' and gmconv_cifar_resnet20 has 'ratio'"):
        package(pair, "made", **wanted)
    monkeypatch.setattr(package_weights, "LARGEST_FILE", 2**19)
    with pytest.raises(ValueError, match=r"1\.0 MB are too much for a wheel.*on the Hub"):
        package(folder, "made", **wanted)
    assert not list(tmp_path.glob("*.safetensors"))


def test_names_of_classes_do_not_outlive_their_classifier(folder, tmp_path):
    model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=3)
    gmconv_zoo.save(model, tmp_path / "three")
    assert "label_names" not in json.loads((tmp_path / "three" / "config.json").read_text())


def test_command_names_a_folder_that_cannot_be_packaged(tmp_path):
    options = [str(tmp_path / "none"), "--tag", "x"]
    with pytest.raises(SystemExit, match=r"^package_weights: the folder .* does not exist"):
        run("package_weights", "", package_weights._add_options, package_weights._main, options)
