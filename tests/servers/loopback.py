"""The start and the end that all loopback servers share."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["LoopbackServer"]


class LoopbackServer:
    """A server that runs in this process from its construction on; close it with `close`.

    Args:
        handler: answers one request.
        host, port: where it listens; 0 for any free port.
        **bound: attributes of the handler.

    Attributes:
        url: its address without a path.
        port: its port.
    """

    def __init__(
        self, handler: type[BaseHTTPRequestHandler], host: str = "127.0.0.1", port: int = 0, **bound: Any
    ) -> None:
        self._server = ThreadingHTTPServer((host, port), type("BoundHandler", (handler,), bound))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://{host}:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
