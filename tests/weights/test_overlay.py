"""What a user names in pretrained_cfg_overlay is what is fetched, never the default in its place."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from gmconv_zoo.models import _build
from gmconv_zoo.weights.errors import WeightsError

NAME = "gmconv_resnet18.from_tv_in1k"


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list:
    """The specs that were fetched; each gives a plain ResNet-18's file."""
    path = tmp_path / "model.safetensors"
    save_file(timm.create_model("resnet18").state_dict(), path)
    specs: list = []
    monkeypatch.setattr(_build, "fetch", lambda spec, cache_dir: specs.append((spec, cache_dir)) or path)
    return specs


@pytest.mark.parametrize(
    ("overlay", "expected"),
    [
        ({}, {"hf_hub_id": "timm/resnet18.tv_in1k"}),
        ({"hf_hub_id": "me/fork"}, {"hf_hub_id": "me/fork", "revision": "", "url": ""}),
        ({"hf_hub_id": "timm/resnet18.tv_in1k@abc"}, {"hf_hub_id": "timm/resnet18.tv_in1k", "revision": "abc"}),
        ({"hf_hub_filename": "other.safetensors"}, {"filename": "other.safetensors"}),
        ({"url": "https://example.org/w.pth"}, {"url": "https://example.org/w.pth", "hf_hub_id": ""}),
    ],
)
def test_the_specs_source_or_another_in_its_place_is_fetched_and_a_users_file_is_not(
    fetched, tmp_path, overlay, expected
):
    timm.create_model(NAME, pretrained=True, pretrained_cfg_overlay={"file": str(tmp_path / "model.safetensors")})
    assert not fetched
    timm.create_model(NAME, pretrained=True, pretrained_cfg_overlay=overlay, cache_dir=tmp_path)
    ((spec, cache_dir),) = fetched
    assert cache_dir == tmp_path
    assert {key: getattr(spec, key) for key in expected} == expected
    assert (spec.name, spec.conversion) == (NAME, "standard")
    assert spec.sha256 == spec.sha256_prefix == ""


@pytest.mark.parametrize("change", [lambda w: w.pop("fc.bias"), lambda w: w.update({"fc.weight": torch.ones(7, 512)})])
def test_features_need_no_classifier_that_fits(tmp_path, change):
    weights = timm.create_model("resnet18").state_dict()
    change(weights)
    save_file(weights, tmp_path / "mine.safetensors")
    overlay = {"file": str(tmp_path / "mine.safetensors")}
    net = timm.create_model(NAME, pretrained=True, features_only=True, pretrained_cfg_overlay=overlay)
    assert torch.equal(net.layer1[0].bn1.weight, weights["layer1.0.bn1.weight"])
    with pytest.raises(WeightsError, match=r"fc\."):
        timm.create_model(NAME, pretrained=True, pretrained_cfg_overlay=overlay)


@torch.no_grad()
def test_a_converted_dynamic_stem_takes_other_channels(fetched, tmp_path):
    net = timm.create_model(NAME, pretrained=True, in_chans=1)
    weights = load_file(tmp_path / "model.safetensors")["conv1.weight"]
    assert net.conv1.sigma_module.fc_max.weight.shape[1] == 1
    masked = net.conv1.weight * net.conv1.mask(torch.ones(1, 1, 8, 8))[0]
    torch.testing.assert_close(masked, weights.sum(1, keepdim=True))
    assert len(net.pretrained_cfg["first_conv"]) == 3  # native checkpoints of this network adapt all of them


def test_converted_weights_are_said_once_to_have_untrained_masks(fetched, caplog):
    _build._say_untrained.cache_clear()
    with caplog.at_level("INFO"):
        for _ in range(2):
            timm.create_model(NAME, pretrained=True)
    assert caplog.text.count(f"{NAME} has the outputs of its source, and its masks are untrained.") == 1


def test_weights_are_not_divided_by_next_to_nothing(fetched):
    with pytest.raises(ValueError, match=r"sigma_init=0\.2: the mask of conv1 .* falls to .*pretrained=False"):
        timm.create_model(NAME, pretrained=True, sigma_init=0.2)
    assert timm.create_model(NAME, sigma_init=0.2).gmconv_conversion.sigma_init == 0.2


@pytest.mark.parametrize(("content", "message"), [(None, "does not exist"), (b"\x08" + b"\0" * 40, "damaged or not")])
def test_a_file_that_does_not_open_is_refused(tmp_path, content, message):
    path = tmp_path / "mine.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        timm.create_model(NAME, pretrained=True, pretrained_cfg_overlay={"file": str(path)})


@pytest.mark.parametrize("name", [NAME, "gmconv_cifar_resnet20"])
def test_missing_and_additional_tensors_are_accepted_when_asked(tmp_path, name):
    weights = timm.create_model("resnet18" if name == NAME else name, num_classes=7).state_dict()
    torch.nn.init.constant_(weights["bn1.weight"], 3.0)
    del weights["layer1.0.bn1.bias"]
    save_file({**weights, "more": torch.ones(1)}, tmp_path / "part.safetensors")
    options = {"num_classes": 7, "pretrained": True}
    options["pretrained_cfg_overlay"] = {"file": str(tmp_path / "part.safetensors"), "num_classes": 7}
    net = timm.create_model(name, pretrained_strict=False, **options)
    assert torch.equal(net.bn1.weight, weights["bn1.weight"])
    assert torch.equal(net.fc.bias, weights["fc.bias"])
    with pytest.raises(WeightsError, match=r"missing layer1\.0\.bn1\.bias; unexpected more"):
        timm.create_model(name, **options)


@pytest.mark.parametrize("name", ["gmconv_cifar_resnet20", "stdconv_alexnet"])
def test_a_configuration_without_layer_names_builds_the_network(name):
    net = timm.create_model(name, device="meta", pretrained_cfg={"num_classes": 5, "input_size": (3, 64, 64)})
    assert (net.num_classes, net.pretrained_cfg["first_conv"]) == (5, None)
