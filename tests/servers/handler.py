"""What both halves of the loopback Hub share: faults, the journal, authorisation and answers."""

import json
import re
import time
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

from .store import HubError

__all__ = ["STRANGER", "WRITER", "HubHandler"]

WRITER, STRANGER = "hf_loopback_writer", "hf_loopback_other"
# The namespaces that a token may write to
TOKENS = {WRITER: ("gmconv", "gmconv-zoo"), STRANGER: ("eve",)}


class HubHandler(BaseHTTPRequestHandler):
    """Plumbing of one request; subclasses have routes as (method, pattern, function) rows.

    ``hub`` is the `HubServer` that it answers for.
    """

    protocol_version, server_version = "HTTP/1.1", "loopback-hub/1"
    hub: Any
    routes: list[tuple[str, str, str]] = []  # noqa: RUF012

    def log_message(self, *args: Any) -> None:
        pass

    def handle_request(self) -> None:
        self.fault, self.namespaces = {}, ()
        asked = {"method": self.command, "path": self.path, "range": self.headers.get("Range")}
        self.hub.requests.append(asked)  # now, so that the journal has the order in which the client asked
        try:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.fault = self.next_fault()
            if not self.suffer():
                return
            self.authorise()
            self.dispatch(unquote(urlsplit(self.path).path), data)
        except HubError as error:
            headers = {"X-Error-Message": error.message, **error.headers}
            if error.code:
                headers["X-Error-Code"] = error.code
            self.answer(error.status, {"error": error.message} if error.body is None else error.body, headers)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = handle_request

    def dispatch(self, path: str, data: bytes) -> None:
        for methods, pattern, name in self.routes:
            found = re.match(pattern, path)
            if found and self.command in methods.split():
                getattr(self, name)(data=data, **found.groupdict())
                return
        raise HubError(404, message=f"no such route: {self.command} {path}")

    def next_fault(self) -> dict[str, Any]:
        for fault in self.hub.faults:
            if fault["times"] and re.search(fault["match"], f"{self.command} {self.path}"):
                fault["after"] -= 1
                if fault["after"] < 0:
                    fault["times"] -= 1
                    return dict(fault)
        return {}

    def suffer(self) -> bool:
        """Apply a fault that comes before the answer; False when the request ends here."""
        kind = self.fault.get("kind")
        if kind == "drop":
            self.close_connection = True
            return False
        if kind == "status":
            raise HubError(self.fault["code"], message="injected")
        return True

    def answer(
        self,
        status: int,
        data: Any = b"",
        headers: dict[str, str] | None = None,
        content_type: str = "application/json",
    ) -> None:
        body = data if isinstance(data, (bytes, bytearray)) else json.dumps(data).encode()
        standard = {
            "Content-Type": content_type,
            "Content-Length": str(len(body)),
            "X-Request-Id": f"{time.time_ns():x}",
        }
        self.send_response(status)
        for key, value in {**standard, **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.fault.get("kind") == "truncate":  # the promised length, then the line is dead
            self.wfile.write(body[: self.fault["at"]])
            self.wfile.flush()
            self.close_connection = True
        else:
            self.wfile.write(body)

    def base(self, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.server.server_port}"

    def authorise(self) -> None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer":
            if token not in TOKENS:
                raise HubError(401, message="Invalid credentials in Authorization header")
            self.namespaces = TOKENS[token]

    def need_write(self, repo_id: str) -> None:
        if not self.namespaces:
            raise HubError(401, message="Invalid username or password.")
        if repo_id.split("/")[0] not in self.namespaces:
            raise HubError(403, message=f"You don't have the rights to write to {repo_id}")

    def repo(self, repo_id: str, *, content: bool = False) -> dict[str, Any]:
        """A repository the client may see; with content, one whose files it may read."""
        store = self.hub.store
        repo = store.repos.get(repo_id)
        own = repo_id.split("/")[0] in self.namespaces
        if repo is None:
            if self.namespaces:
                raise HubError(404, "RepoNotFound", "Repository not found")
            raise HubError(401, "RepoNotFound", "Invalid username or password.")  # existence is not told to strangers
        if content and repo["gated"] and not own:
            message = f"Access to model {repo_id} is restricted. Visit {self.base()}/{repo_id} to ask for access."
            raise HubError(403 if self.namespaces else 401, "GatedRepo", message)
        return repo
