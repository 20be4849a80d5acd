"""Fixtures that tests of several folders use."""

import logging
import sys
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from gmconv_zoo.cli import main
from tests.servers.files import FileServer
from tests.servers.hub import HubServer


@pytest.fixture
def forget_accelerator() -> Iterator[Callable[[], None]]:
    """Begin and end without accelerate's state, of which a process has one, and let a test forget it in between."""
    from accelerate.state import AcceleratorState

    forget = partial(AcceleratorState._reset_state, reset_partial_state=True)
    forget()
    yield forget
    forget()


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


@pytest.fixture
def gmconv(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., tuple[int | str, str, str]]:
    """Run a command in this process and give its exit status or its error, what it printed, and its standard error."""

    def call(*arguments: object) -> tuple[int | str, str, str]:
        monkeypatch.setattr(sys, "argv", ["gmconv", *map(str, arguments)])
        status = None
        try:
            main()
        except SystemExit as end:
            status = end.code
        return (status or 0, *capsys.readouterr())

    return call


@pytest.fixture(autouse=True)
def _log_level_is_restored() -> Iterator[None]:
    """Scripts that run in this process may choose a level for what they print."""
    logger = logging.getLogger("gmconv_zoo")
    level = logger.level
    yield
    logger.setLevel(level)
