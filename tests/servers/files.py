"""Loopback servers, and one of plain files, for weights that a spec names by url."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["FileServer", "LoopbackServer"]


class LoopbackServer:
    """A server at ``url`` that runs in this process from its construction on; close it with `close`.

    Its handler is given the attributes in ``bound``.
    """

    def __init__(self, handler: type[BaseHTTPRequestHandler], **bound: Any) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (handler,), bound))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class FileServer(LoopbackServer):
    """A running server; close it with `close`.

    Attributes:
        files: path -> content.
        faults: path -> HTTP status to answer with, or "truncate" to end the connection midway.
        journal: the paths that were asked for.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, int | str] = {}
        self.journal: list[str] = []
        super().__init__(_Handler, owner=self)


class _Handler(BaseHTTPRequestHandler):
    owner: FileServer

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = re.sub(r"\?.*", "", self.path)
        self.owner.journal.append(path)
        fault, body = self.owner.faults.get(path), self.owner.files.get(path)
        if body is None or isinstance(fault, int):
            self.send_error(fault if isinstance(fault, int) else 404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault == "truncate" else body)
