"""Fixtures that tests of several folders use."""

import logging
from collections.abc import Iterator

import pytest

from tests.servers.fixtures import file_server, github, hub, hub_server

__all__ = ["file_server", "github", "hub", "hub_server"]


@pytest.fixture(autouse=True)
def _log_level_is_restored() -> Iterator[None]:
    """Scripts that run in this process may choose a level for what they print."""
    logger = logging.getLogger("gmconv_zoo")
    level = logger.level
    yield
    logger.setLevel(level)
