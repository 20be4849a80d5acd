"""Every published source, end to end: served under its real name, pulled, converted, the same outputs as the source."""

import json
from functools import cache

import pytest
import torch
from timm.models import get_pretrained_cfg
from torch import Tensor

from gmconv_zoo.weights.specs import SPECS, WeightSpec
from tests.servers.client import client_env, run_client
from tests.servers.files import FileServer
from tests.servers.hub import HubServer
from tests.weights.sources import architecture_of, file_of, source_of

TOLERANCE = 1e-4  # of the largest value
ALTERED = (
    {"num_classes": 7},
    {"in_chans": 1},
    {"sigma_init": 2.0},
    {"sigma_init": "kernel", "sigma_design": "pair"},
    {"stem": "static", "stages": (1, 2)},
    {"stem": "none"},
    {"body": "none"},
    {"features_only": True},
)

CLIENT = """
import os, sys
import timm, torch
from tests.weights.client_tools import move_urls
move_urls(os.environ["FILES"], sha256_prefix="")
outputs = []
for name, kwargs in _json.loads(os.environ["CASES"]):
    model = timm.create_model(name, pretrained=True, **kwargs).eval()
    x = torch.load(os.environ["IMAGES"])[:, : kwargs.get("in_chans", 3)]
    with torch.no_grad():
        maps = list(model(x)) if kwargs.get("features_only") else [model.forward_features(x), model(x)]
    sigmas = {key: float(value) for key, value in model.state_dict().items() if key.endswith("sigma")}
    outputs.append({"maps": maps, "sigmas": sigmas})
torch.save(outputs, os.environ["OUTPUTS"])
"""


def is_slow(spec: WeightSpec) -> bool:
    """Large files, and second tags of the same network."""
    large = spec.model.endswith(("resnet50", "convnext_tiny"))
    return large or "a1_in1k" in spec.tag or spec.model == "sgmconv_alexnet"


PLAIN = [(name, {}) for name, spec in SPECS.items() if spec.conversion == "standard"]
PLAIN_CASES = {slow: [case for case in PLAIN if is_slow(SPECS[case[0]]) is slow] for slow in (False, True)}
ALTERED_CASES = {
    False: [
        (f"gmconv_{source}", kwargs)
        for source in ("resnet18.from_tv_in1k", "mobilenetv2.from_tv_in1k", "convnext_atto.from_d2_in1k")
        for kwargs in ALTERED
    ],
    True: [(f"{family}_alexnet.from_tv_in1k", kwargs) for family in ("gmconv", "sgmconv") for kwargs in ALTERED],
}


def parameters(cases: dict[bool, list[tuple[str, dict]]]) -> list:
    rows = [(slow, name, kwargs) for slow, group in cases.items() for name, kwargs in group]
    return [
        pytest.param(slow, name, kwargs, id=f"{name}-{kwargs}", marks=[pytest.mark.slow] if slow else [])
        for slow, name, kwargs in rows
    ]


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.hf_hub_id.startswith("timm/")])
def test_a_weight_of_timm_has_the_licence_and_the_preprocessing_that_timm_says(name):
    spec = SPECS[name]
    ours, timms = get_pretrained_cfg(name), get_pretrained_cfg(spec.hf_hub_id.removeprefix("timm/"))
    fields = ["num_classes", "input_size", "pool_size", "test_input_size", "crop_pct", "test_crop_pct", "crop_mode"]
    for field in [*fields, "interpolation", "mean", "std", "license"]:
        assert getattr(ours, field) == getattr(timms, field), field


def images() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small images are slower with more threads than free cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pulled(tmp_path_factory):
    """What a client gets for a case; it pulls all of one kind, slow or not, when the first of them is asked for."""

    @cache
    def results(slow: bool) -> list[dict]:
        folder, cases = tmp_path_factory.mktemp("pulled"), PLAIN_CASES[slow] + ALTERED_CASES[slow]
        hub, files = HubServer(folder / "hub"), FileServer()
        for spec in {SPECS[name].location: SPECS[name] for name, _ in cases}.values():
            if spec.hf_hub_id:
                hub.put(spec.hf_hub_id, {spec.filename: file_of(spec)})
            else:
                files.files[f"/models/{spec.basename}"] = file_of(spec)
        torch.save(images(), folder / "images.pt")
        env = client_env(folder, endpoint=hub.url) | {"FILES": files.url, "CASES": json.dumps(cases)}
        run_client(CLIENT, env | {"IMAGES": str(folder / "images.pt"), "OUTPUTS": str(folder / "outputs.pt")})
        hub.close()
        files.close()
        return torch.load(folder / "outputs.pt")

    def result(slow: bool, name: str, kwargs: dict) -> dict:
        return results(slow)[(PLAIN_CASES[slow] + ALTERED_CASES[slow]).index((name, kwargs))]

    return result


@torch.no_grad()
@pytest.mark.parametrize(("slow", "name", "kwargs"), parameters(PLAIN_CASES))
def test_pretrained_equals_its_source(pulled, slow, name, kwargs):
    expected = source_of(SPECS[name])(images())
    assert (expected[0] - expected[1]).std() > 0.05, "outputs that hardly vary would prove nothing"
    assert_same(pulled(slow, name, kwargs)["maps"][-1], expected)


@torch.no_grad()
@pytest.mark.parametrize(("slow", "name", "kwargs"), parameters(ALTERED_CASES))
def test_pretrained_honours_keywords(pulled, slow, name, kwargs):
    source, result = source_of(SPECS[name]), pulled(slow, name, kwargs)
    maps, sigmas = result["maps"], result["sigmas"]
    if "features_only" in kwargs:
        for found, expected in zip(maps, feature_maps(SPECS[name]), strict=True):
            assert_same(found, expected)
    elif "num_classes" in kwargs:
        assert maps[-1].shape == (2, kwargs["num_classes"])
        expected = source.features(images()) if hasattr(source, "features") else source.forward_features(images())
        assert_same(maps[0], expected)
    else:
        x = images()[:, :1].expand(-1, 3, -1, -1) if "in_chans" in kwargs else images()  # timm sums the stem's channels
        assert_same(maps[-1], source(x))
    if kwargs.get("sigma_init") == 2.0:
        assert set(sigmas.values()) == {2.0}
    if "stages" in kwargs:
        elsewhere = ("layer3", "layer4", "blocks.3", "blocks.5", "features.8", "features.10", "stages.2", "stages.3")
        assert sigmas
        assert not any(key.startswith(elsewhere) for key in sigmas)


def assert_same(found: Tensor, expected: Tensor) -> None:
    atol = TOLERANCE * max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


def feature_maps(spec: WeightSpec) -> list[Tensor]:
    """The source's own feature maps: timm's own, or torchvision's layers read by hand."""
    source, x, maps = source_of(spec), images(), []
    if spec.hf_hub_id:
        return source.forward_intermediates(x, intermediates_only=True)
    taps = {"alexnet": (1, 4, 11, 12), "mobilenet_v2": (1, 3, 6, 13, 17)}[architecture_of(spec)]
    for number, layer in enumerate(source.features):
        x = layer(x)
        if number in taps:
            maps.append(x.clone())
    return maps
