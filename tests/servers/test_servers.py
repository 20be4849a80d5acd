"""The loopback servers against the real clients, so that a test that passes on them means something."""

import hashlib
import urllib.error
import urllib.request

import pytest

from tests.servers.client import client_env, run_client
from tests.servers.handler import HubHandler
from tests.servers.store import HubError

WEIGHTS = bytes(range(256)) * 4096
CHUNK = 10 << 20  # bytes that huggingface_hub writes at a time; it resumes behind the last whole one

PUSH = """
import hashlib, os
from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
api = HfApi(token="hf_loopback_writer")
api.create_repo("gmconv/net", exist_ok=True)
weights = bytes(range(256)) * 4096
card = b"---\\nlicense: apache-2.0\\ntags: [timm]\\n---\\n# net\\n"
add = [CommitOperationAdd("model.safetensors", weights), CommitOperationAdd("README.md", card)]
commit = api.create_commit("gmconv/net", add, commit_message="weights", parent_commit=api.model_info("gmconv/net").sha)
api.create_tag("gmconv/net", tag="v1")
path = hf_hub_download("gmconv/net", "model.safetensors", revision="v1")
try:
    stale = [CommitOperationAdd("a.txt", b"a")]
    api.create_commit("gmconv/net", stale, commit_message="late", parent_commit="0" * 40)
    conflict = 0
except HfHubHTTPError as error:
    conflict = error.response.status_code
try:
    HfApi(token="hf_loopback_other").delete_repo("gmconv/net")
    refused = 0
except HfHubHTTPError as error:
    refused = error.response.status_code
report(
    sha256=hashlib.sha256(open(path, "rb").read()).hexdigest(),
    oid=commit.oid, resolved=api.model_info("gmconv/net", revision="v1").sha, conflict=conflict, refused=refused,
    files=api.list_repo_files("gmconv/net"),
)
"""


def test_hub_takes_a_push_and_serves_it_back(hub, tmp_path):
    result = run_client(PUSH, client_env(tmp_path, endpoint=hub.url)).result
    assert result["sha256"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert result["oid"] == result["resolved"]
    assert result["conflict"] == 412
    assert result["refused"] in (403, 404)
    assert result["files"] == [".gitattributes", "README.md", "model.safetensors"]
    assert hub.read("gmconv/net", "model.safetensors") == WEIGHTS


def test_hub_never_sees_the_token_on_its_download_host(hub, tmp_path):
    hub.put("gmconv/net", {"model.safetensors": WEIGHTS})
    code = 'from huggingface_hub import hf_hub_download\nhf_hub_download("gmconv/net", "model.safetensors")'
    run_client(code, client_env(tmp_path, endpoint=hub.url, token=hub.token))
    assert [(row["method"], row["authorised"]) for row in hub.journal()] == [("HEAD", True), ("GET", False)]
    assert hub.journal()[1]["path"].startswith("/_cdn/")


def test_hub_faults_hit_as_often_as_asked(hub, tmp_path):
    hub.put("gmconv/net", {"model.safetensors": WEIGHTS * 12})
    hub.fault("GET", "truncate", at=11 << 20, times=1)
    code = 'from huggingface_hub import hf_hub_download\nhf_hub_download("gmconv/net", "model.safetensors")'
    run_client(code, client_env(tmp_path, endpoint=hub.url))
    downloads = [(row["fault"], row["range"]) for row in hub.journal() if row["method"] == "GET"]
    assert downloads == [("truncate", None), (None, f"bytes={CHUNK}-")]


def test_hub_notes_a_request_before_it_answers(hub, monkeypatch):
    """Otherwise the order of the journal would depend on which thread of the server ends first."""
    noted = []

    def refuse(_handler: HubHandler) -> None:
        noted.extend(row["path"] for row in hub.journal())
        raise HubError(404, message="absent")

    monkeypatch.setattr(HubHandler, "authorise", refuse)
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{hub.url}/gmconv/net")
    assert noted == ["/gmconv/net"]


TORCH_HUB = """
import torch
by_branch = torch.hub.load("gmconv/net", "answer", trust_repo=True)
names = torch.hub.list("gmconv/net:v1", trust_repo=True)
try:
    torch.hub.load("gmconv/absent", "answer", trust_repo=True)
    absent = ""
except Exception as error:
    absent = type(error).__name__
report(by_branch=by_branch, names=names, absent=absent)
"""


def test_github_serves_branches_and_tags_to_an_unpatched_torch_hub(github, tmp_path):
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "hubconf.py").write_text("def answer():\n    return 42\n")
    github.put("gmconv/net", tmp_path / "repo", tag="v1")
    result = run_client(TORCH_HUB, {**client_env(tmp_path), **github.env}).result
    assert result["by_branch"] == 42
    assert result["names"] == ["answer"]
    assert result["absent"]
    assert any(path.endswith("/zipball/main") or "/zipball/" in path for _, path, _ in github.journal)
