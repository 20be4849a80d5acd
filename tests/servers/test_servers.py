"""What tests rely on in the loopback Hub, besides what publishing and loading show of it."""

import urllib.error
import urllib.request

import pytest

from tests.servers.client import client_env, run_client
from tests.servers.handler import HubHandler
from tests.servers.store import HubError

WEIGHTS = bytes(range(256)) * 4096


def test_hub_never_sees_the_token_on_its_download_host(hub, tmp_path):
    hub.put("gmconv/net", {"model.safetensors": WEIGHTS})
    code = 'from huggingface_hub import hf_hub_download\nhf_hub_download("gmconv/net", "model.safetensors")'
    run_client(code, client_env(tmp_path, endpoint=hub.url, token=hub.token))
    assert [(row["method"], row["authorised"]) for row in hub.journal()] == [("HEAD", True), ("GET", False)]
    assert hub.journal()[1]["path"].startswith("/_cdn/")


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
