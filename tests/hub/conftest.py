"""What is published, and the Hub as publishing reaches it in this process."""

from functools import partial

import pytest
from huggingface_hub import HfApi, constants

from gmconv_zoo.hub import publish as publish_module

from .folders import saved_run


@pytest.fixture(scope="session")
def gm_folder(tmp_path_factory):
    """What a training run leaves; nobody changes it."""
    return saved_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def loopback(hub, monkeypatch):
    """The Hub as this process's publishing reaches it."""
    monkeypatch.setattr(publish_module, "HfApi", partial(HfApi, endpoint=hub.url, token=hub.token))
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    return hub
