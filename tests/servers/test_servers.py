"""What tests rely on in the loopback Hub, besides what publishing and loading show of it."""

import urllib.error
import urllib.request

import pytest

from tests.servers.handler import HubHandler
from tests.servers.store import HubError


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
