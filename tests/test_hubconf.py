"""torch.hub's view of the repository: what it lists, loads and refuses, also on a copy of the checkout."""

import importlib.util
import inspect
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch

import gmconv_zoo  # noqa: F401
from gmconv_zoo.weights.specs import get_spec
from tests.servers.client import client_env, run_client
from tests.weights.sources import file_of, source_of

ROOT = Path(__file__).parents[1]
MODELS = timm.list_models(["gmconv_*", "sgmconv_*", "stdconv_*"])


@pytest.fixture(scope="module")
def hubconf():
    spec = importlib.util.spec_from_file_location("hubconf_under_test", ROOT / "hubconf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_model_is_listed_and_nothing_else(hubconf):
    listed = [name for name, value in vars(hubconf).items() if callable(value) and not name.startswith("_")]
    assert sorted(listed) == sorted(MODELS)  # as torch.hub.list looks for them


@pytest.mark.parametrize("name", MODELS)
def test_entry_point_is_documented_and_builds_the_model_it_is_named_after(hubconf, name):
    function = getattr(hubconf, name)
    assert "tag: name of the weights" in function.__doc__  # what torch.hub.help prints
    parameters = inspect.signature(function).parameters
    assert [(p.name, p.default) for p in parameters.values()][:2] == [("pretrained", False), ("tag", None)]
    assert parameters["kwargs"].kind is inspect.Parameter.VAR_KEYWORD
    with torch.device("meta"):
        model = function(num_classes=3)
    assert model.pretrained_cfg["architecture"] == name
    assert model.num_classes == 3


def test_a_tag_chooses_the_weights_and_an_unknown_one_is_refused_with_the_known_ones(hubconf):
    with torch.device("meta"):
        assert hubconf.gmconv_resnet18(tag="from_a1_in1k").pretrained_cfg["tag"] == "from_a1_in1k"
    with pytest.raises(ValueError, match=r"no tag 'nope': pass one of .*from_a1_in1k, .*from_tv_in1k"):
        hubconf.gmconv_resnet18(tag="nope")
    with pytest.raises(ValueError, match="no tag 'nope': it has no pretrained weights"):
        hubconf.stdconv_cifar_resnet18(tag="nope")


def test_missing_package_is_reported_by_torch_hub():
    code = (
        "import importlib.util as u, sys, torch\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *args: None if name == 'timm' else find(name, *args)\n"
        "sys.modules['timm'] = None\n"
        f"torch.hub.load({str(ROOT)!r}, 'gmconv_resnet18', source='local')\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Missing dependencies: timm" in run.stderr


SPEC = get_spec("sgmconv_resnet18.from_tv_in1k")

LOAD = """
import torch
model = torch.hub.load({folder!r}, "sgmconv_resnet18", source="local", pretrained=True).eval()
import gmconv_zoo
torch.manual_seed(0)
with torch.inference_mode():
    logits = model(torch.rand(2, 3, 64, 64))
report(logits=logits.tolist(), file=gmconv_zoo.__file__, version=gmconv_zoo.__version__)
"""


def test_another_version_loads_its_own_code_and_weights(hub, tmp_path):
    folder = tmp_path / "someone_gmconv_zoo_v9"
    shutil.copytree(ROOT / "gmconv_zoo", folder / "gmconv_zoo", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "hubconf.py", folder)
    (folder / "gmconv_zoo" / "_version.py").write_text('__version__ = "9.9.9"\nREPOSITORY = ""\n')
    hub.put(SPEC.hf_hub_id, {SPEC.filename: file_of(SPEC)})
    found = run_client(LOAD.format(folder=str(folder)), client_env(tmp_path, endpoint=hub.url)).result
    assert found["file"].startswith(str(folder))
    assert found["version"] == "9.9.9"
    torch.manual_seed(0)
    with torch.inference_mode():
        expected = source_of(SPEC).eval()(torch.rand(2, 3, 64, 64))
    torch.testing.assert_close(torch.tensor(found["logits"]), expected, rtol=1e-4, atol=1e-4)
