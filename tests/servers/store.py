"""Content-addressed storage behind the loopback Hub: repositories with one branch, tags and immutable commits."""

import hashlib
import os
import threading
import time
from pathlib import Path
from typing import Any

__all__ = ["HubError", "LFS_SUFFIXES", "Store"]

LFS_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".onnx")


class HubError(Exception):
    """An HTTP error answer, with the Hub's X-Error-Code where it has one."""

    def __init__(
        self, status: int, code: str = "", message: str = "", *, headers: dict | None = None, body: Any = None
    ):
        super().__init__(message)
        self.status, self.code, self.message, self.body = status, code, message, body
        self.headers = headers or {}


class Store:
    """Repositories and objects/<sha256>; a commit is an immutable {path: entry} tree."""

    def __init__(self, root: Path) -> None:
        self.root, self.lock = root, threading.RLock()
        (root / "objects").mkdir(parents=True, exist_ok=True)
        self.repos: dict[str, dict[str, Any]] = {}

    def clear(self) -> None:
        with self.lock:
            self.repos.clear()

    def path_of(self, sha256: str) -> Path:
        return self.root / "objects" / sha256

    def read(self, sha256: str) -> bytes:
        return self.path_of(sha256).read_bytes()

    def keep(self, data: bytes) -> str:
        """Store bytes and return their sha256."""
        sha256 = hashlib.sha256(data).hexdigest()
        if not self.path_of(sha256).exists():
            partial = self.root / f"{sha256}.{threading.get_ident()}"
            partial.write_bytes(data)
            os.replace(partial, self.path_of(sha256))
        return sha256

    def create(self, repo_id: str) -> None:
        with self.lock:
            self.repos[repo_id] = {"gated": False, "refs": {}, "tags": {}, "commits": {}}
            self.commit(repo_id, {".gitattributes": self.entry(b"*.safetensors filter=lfs\n", lfs=False)})

    def entry(self, data: bytes, *, lfs: bool) -> dict[str, Any]:
        sha256 = self.keep(data)
        if lfs:
            return self.lfs_entry(sha256, len(data))
        return {"oid": _git_oid(data), "size": len(data), "sha": sha256, "lfs": None}

    def lfs_entry(self, sha256: str, size: int) -> dict[str, Any]:
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        lfs = {"oid": sha256, "size": size, "pointerSize": len(pointer)}
        return {"oid": _git_oid(pointer), "size": size, "sha": sha256, "lfs": lfs}

    def commit(self, repo_id: str, adds: dict[str, dict]) -> str:
        """Add a commit to the branch and return its hash."""
        repo = self.repos[repo_id]
        tree = {**repo["commits"].get(repo["refs"].get("main"), {}), **adds}
        oid = hashlib.sha1(f"{repo_id} {sorted(tree)} {time.time_ns()}".encode()).hexdigest()
        repo["commits"][oid], repo["refs"]["main"] = tree, oid
        return oid

    def resolve(self, repo_id: str, revision: str) -> str:
        """The branch, a tag or a commit hash to a commit hash."""
        repo = self.repos[repo_id]
        oid = {**repo["refs"], **repo["tags"]}.get(revision, revision)
        if oid not in repo["commits"]:
            raise HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return oid

    def tree(self, repo_id: str, revision: str) -> dict[str, dict[str, Any]]:
        return self.repos[repo_id]["commits"][self.resolve(repo_id, revision)]


def _git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
