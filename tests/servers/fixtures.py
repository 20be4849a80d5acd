"""Fixtures around the loopback servers; conftest.py offers them to every test."""

from collections.abc import Iterator

import pytest

from .files import FileServer
from .hub import HubServer

__all__ = ["file_server", "hub", "hub_server"]


@pytest.fixture(scope="session")
def hub_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """One Hub for the whole run."""
    server = HubServer(tmp_path_factory.mktemp("hub"))
    yield server
    server.close()


@pytest.fixture
def hub(hub_server: HubServer) -> Iterator[HubServer]:
    """An empty Hub."""
    hub_server.reset()
    yield hub_server
    hub_server.reset()


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    """A server of plain files."""
    server = FileServer()
    yield server
    server.close()
