"""Fixtures that tests of several folders use."""

from tests.servers.fixtures import file_server, github, hub, hub_server

__all__ = ["file_server", "github", "hub", "hub_server"]
