"""The weights that this project trained: they load without a connection and score what their cards say."""

import socket

import pytest
import timm
import torch

import gmconv_zoo
from gmconv_zoo.weights.specs import SPECS, specs_of
from tests.cifar import DATA, load_cifar10

SHIPPED = [name for name, spec in SPECS.items() if spec.packaged]
MASKED = [name for name in SHIPPED if not name.startswith("stdconv_")]
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


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
