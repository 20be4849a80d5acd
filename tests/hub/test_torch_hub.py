"""torch.hub, unpatched, against a loopback GitHub whose archives come from real git, with weights from a Hub."""

import shutil
from pathlib import Path

import pytest
import timm
import torch

import gmconv_zoo
from gmconv_zoo.weights.specs import get_spec
from tests.servers.client import client_env, run_client
from tests.weights.sources import file_of, source_of

ROOT = Path(__file__).parents[2]
MODELS = timm.list_models(["gmconv_*", "sgmconv_*", "stdconv_*"])
REPO = "someone/gmconv_zoo"
SPEC = get_spec("sgmconv_resnet18.from_tv_in1k")

LOAD = """
import torch
ref = {ref!r}
names = torch.hub.list(ref, trust_repo=True, verbose=False) if {listed} else []
model = torch.hub.load(ref, "sgmconv_resnet18", pretrained=True, trust_repo=True, verbose=False).eval()
import gmconv_zoo
torch.manual_seed(0)
with torch.inference_mode():
    logits = model(torch.rand(2, 3, 64, 64))
report(names=names, logits=logits.tolist(), file=gmconv_zoo.__file__, version=gmconv_zoo.__version__)
"""


@pytest.fixture(scope="module")
def repository(github, tmp_path_factory):
    """This checkout as a branch, and as a tag with another version number."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "hubconf.py", folder)
    shutil.copytree(ROOT / "gmconv_zoo", folder / "gmconv_zoo", ignore=shutil.ignore_patterns("__pycache__"))
    github.put(REPO, folder)
    (folder / "gmconv_zoo" / "_version.py").write_text('__version__ = "9.9.9"\n')
    github.put(REPO, folder, branch="release", tag="v9")
    return github


def expected_logits() -> torch.Tensor:
    torch.manual_seed(0)
    with torch.inference_mode():
        return source_of(SPEC).eval()(torch.rand(2, 3, 64, 64))


def test_branch_loads_lists_and_pulls_weights(repository, hub, tmp_path):
    hub.put(SPEC.hf_hub_id, {SPEC.filename: file_of(SPEC)})
    env = client_env(tmp_path, endpoint=hub.url) | repository.env
    outcome = run_client(LOAD.format(ref=f"{REPO}:main", listed=True), env)
    assert sorted(outcome.result["names"]) == sorted(MODELS)
    assert outcome.result["file"].startswith(str(tmp_path))
    assert outcome.result["version"] == gmconv_zoo.__version__
    torch.testing.assert_close(torch.tensor(outcome.result["logits"]), expected_logits(), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_tag_loads_and_then_works_offline(repository, hub, tmp_path):
    hub.put(SPEC.hf_hub_id, {SPEC.filename: file_of(SPEC)})
    code = LOAD.format(ref=f"{REPO}:v9", listed=False)
    online = run_client(code, client_env(tmp_path, endpoint=hub.url) | repository.env)
    assert online.result["version"] == "9.9.9"
    requests = len(repository.journal)
    hub.forget()
    offline = run_client(code, client_env(tmp_path, endpoint=hub.url, offline=True) | repository.env)
    assert offline.result == online.result
    assert hub.journal() == []
    assert len(repository.journal) == requests
