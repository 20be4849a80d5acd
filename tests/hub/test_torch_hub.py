"""torch.hub, unpatched, on a copy of the checkout as it unpacks one, with weights from a loopback Hub."""

import shutil
from pathlib import Path

import torch

from gmconv_zoo.weights.specs import get_spec
from tests.servers.client import client_env, run_client
from tests.weights.sources import file_of, source_of

ROOT = Path(__file__).parents[2]
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


def expected_logits() -> torch.Tensor:
    torch.manual_seed(0)
    with torch.inference_mode():
        return source_of(SPEC).eval()(torch.rand(2, 3, 64, 64))


def test_another_version_loads_its_own_code_and_weights(hub, tmp_path):
    folder = tmp_path / "someone_gmconv_zoo_v9"
    shutil.copytree(ROOT / "gmconv_zoo", folder / "gmconv_zoo", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "hubconf.py", folder)
    (folder / "gmconv_zoo" / "_version.py").write_text('__version__ = "9.9.9"\nREPOSITORY = ""\n')
    hub.put(SPEC.hf_hub_id, {SPEC.filename: file_of(SPEC)})
    found = run_client(LOAD.format(folder=str(folder)), client_env(tmp_path, endpoint=hub.url)).result
    assert found["file"].startswith(str(folder))
    assert found["version"] == "9.9.9"
    torch.testing.assert_close(torch.tensor(found["logits"]), expected_logits(), rtol=1e-4, atol=1e-4)
