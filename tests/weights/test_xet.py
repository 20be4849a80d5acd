"""A file pushed and pulled through Xet is checked by its content like any other."""

import hashlib

import pytest
import torch
from safetensors.torch import save

from tests.servers.client import client_env, run_client
from tests.servers.hub import HubServer

pytestmark = pytest.mark.slow

PUSH = """
from huggingface_hub import HfApi
api = HfApi(token="hf_loopback_writer")
api.create_repo("gmconv/net")
api.upload_file(path_or_fileobj=_os.environ["FILE"], path_in_repo="model.safetensors", repo_id="gmconv/net")
"""
PULL = """
from gmconv_zoo.weights.check import check_file
from gmconv_zoo.weights.errors import WeightsError
from gmconv_zoo.weights.fetch import cached_file, fetch
from gmconv_zoo.weights.specs import WeightSpec
spec = WeightSpec("gmconv_resnet18", "xet", "standard", "apache-2.0", "a test", hf_hub_id="gmconv/net")
path = fetch(spec)
verdict = check_file(path, spec)
blob = path.resolve()
content = bytearray(blob.read_bytes())
content[-1] ^= 1
blob.chmod(0o644)
blob.write_bytes(content)
try:
    fetch(spec)
    message = ""
except WeightsError as error:
    message = str(error)
gone = cached_file(spec) is None
report(sha256=verdict.sha256, status=verdict.status, blob=blob.name, message=message, gone=gone)
"""


def test_xet_file_is_checked_by_its_content(tmp_path):
    pytest.importorskip("hf_xet")
    weights = save({"weight": torch.randn(1 << 20)})
    (tmp_path / "model.safetensors").write_bytes(weights)
    (tmp_path / "cas").mkdir()
    hub = HubServer(tmp_path / "hub", xet_cas=f"local://{tmp_path / 'cas'}")
    env = client_env(tmp_path / "push", endpoint=hub.url, token=hub.token) | {"HF_HUB_DISABLE_XET": "0"}
    run_client(PUSH, env | {"FILE": str(tmp_path / "model.safetensors")})
    entry = hub.store.tree("gmconv/net", "main")["model.safetensors"]
    assert "xet" in entry, "the push took another way than Xet"

    env = client_env(tmp_path / "pull", endpoint=hub.url) | {"HF_HUB_DISABLE_XET": "0"}
    result = run_client(PULL, env).result
    hub.close()
    assert result["sha256"] == hashlib.sha256(weights).hexdigest()
    assert result["status"] == "ok"
    assert "damaged" in result["message"]
    assert result["gone"]
    assert not [row for row in hub.journal() if "/_cdn/" in row["path"]], "the pull took another way than Xet"
