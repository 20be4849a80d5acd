"""A loopback Hugging Face Hub that runs in this process: pull, push, LFS, optionally Xet, and faults on request."""

from pathlib import Path
from typing import Any

from .files import LoopbackServer
from .handler import STRANGER, WRITER
from .routes import HubRoutes
from .store import LFS_SUFFIXES, Store

__all__ = ["STRANGER", "WRITER", "HubServer"]


class HubServer(LoopbackServer):
    """A running server, whose ``url`` is a value for HF_ENDPOINT; close it with `close`.

    With ``xet_cas``, "local:///folder", it serves and takes files through Xet. ``token`` may write to gmconv/ and
    gmconv-zoo/, ``stranger`` is a valid token without rights.
    """

    token, stranger = WRITER, STRANGER

    def __init__(self, root: Path, *, xet_cas: str = "") -> None:
        self.store, self.xet_cas = Store(root), xet_cas
        self.faults: list[dict[str, Any]] = []
        self.requests: list[dict[str, Any]] = []
        super().__init__(HubRoutes, hub=self)

    def put(self, repo_id: str, files: dict[str, bytes]) -> str:
        """Commit files as if they had been pushed, creating the repository if need be; returns the commit's hash."""
        with self.store.lock:
            if repo_id not in self.store.repos:
                self.store.create(repo_id)
            adds = {name: self.store.entry(data, lfs=name.endswith(LFS_SUFFIXES)) for name, data in files.items()}
            return self.store.commit(repo_id, adds)

    def tag(self, repo_id: str, name: str, revision: str) -> None:
        """Tag a revision."""
        self.store.repos[repo_id]["tags"][name] = self.store.resolve(repo_id, revision)

    def read(self, repo_id: str, filename: str, revision: str = "main") -> bytes:
        """The content of a stored file."""
        return self.store.read(self.store.tree(repo_id, revision)[filename]["sha"])

    def files(self, repo_id: str, revision: str = "main") -> list[str]:
        """Names of the files of a revision."""
        return sorted(self.store.tree(repo_id, revision))

    def fault(self, match: str, kind: str, *, times: int = 1, after: int = 0, **details: Any) -> None:
        """Let so many requests go wrong whose "METHOD /path" matches, after so many that pass.

        The kinds are "status" (code), "drop", "truncate" (at bytes, then the connection ends), "short" (by bytes, with
        consistent headers) and "corrupt" (at byte).
        """
        self.faults.append({"match": match, "kind": kind, "times": times, "after": after, **details})

    def journal(self) -> list[dict[str, Any]]:
        """What was asked since the last reset: method, path and range."""
        return list(self.requests)

    def forget(self) -> None:
        """Clear journal and faults, and keep the repositories."""
        self.faults.clear()
        self.requests.clear()

    def reset(self) -> None:
        """Clear everything."""
        self.forget()
        self.store.clear()
