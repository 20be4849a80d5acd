"""Content-addressed storage behind the loopback Hub: repositories, refs and immutable commits."""

import hashlib
import json
import os
import re
import threading
import time
from pathlib import Path
from typing import Any

__all__ = ["HubError", "Store", "timestamp"]

LFS_TYPES = ("safetensors", "bin", "pt", "pth", "onnx")
COMMIT = re.compile(r"^[0-9a-f]{7,40}$")


class HubError(Exception):
    """An HTTP error answer, with the Hub's X-Error-Code where it has one."""

    def __init__(
        self, status: int, code: str = "", message: str = "", *, headers: dict | None = None, body: Any = None
    ):
        super().__init__(message)
        self.status, self.code, self.message, self.body = status, code, message, body
        self.headers = headers or {}


class Store:
    """Repositories with refs, commits and flags, and objects/<sha256>; a commit is an immutable {path: entry} tree."""

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
        if not self.path_of(sha256).exists():
            raise HubError(404, message="no such object")
        return self.path_of(sha256).read_bytes()

    def keep(self, data: bytes) -> str:
        """Store bytes and return their sha256."""
        sha256 = hashlib.sha256(data).hexdigest()
        if not self.path_of(sha256).exists():
            partial = self.root / f"{sha256}.{threading.get_ident()}"
            partial.write_bytes(data)
            os.replace(partial, self.path_of(sha256))
        return sha256

    def create(self, repo_id: str, *, private: bool = False, gated: bool = False) -> None:
        with self.lock:
            flags = {"private": private, "gated": gated}
            self.repos[repo_id] = {**flags, "refs": {}, "tags": {}, "commits": {}}
            attributes = "".join(f"*.{kind} filter=lfs diff=lfs merge=lfs -text\n" for kind in LFS_TYPES)
            entry = self.entry(attributes.encode(), lfs=False)
            self.commit(repo_id, "main", "initial commit", adds={".gitattributes": entry})

    def entry(self, data: bytes, *, lfs: bool) -> dict[str, Any]:
        sha256 = self.keep(data)
        if lfs:
            return self.lfs_entry(sha256, len(data))
        return {"oid": _git_oid(data), "size": len(data), "sha": sha256, "lfs": None}

    def lfs_entry(self, sha256: str, size: int) -> dict[str, Any]:
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        lfs = {"oid": sha256, "size": size, "pointerSize": len(pointer)}
        return {"oid": _git_oid(pointer), "size": size, "sha": sha256, "lfs": lfs}

    def commit(self, repo_id: str, ref: str, title: str, *, adds: dict[str, dict]) -> str:
        """Add a commit to a ref and return its hash."""
        repo = self.repos[repo_id]
        parent = repo["refs"].get(ref)
        tree = {**(repo["commits"][parent]["tree"] if parent else {}), **adds}
        commit = {"parent": parent, "title": title, "date": timestamp(), "tree": tree}
        oid = hashlib.sha1(json.dumps([repo_id, commit, time.time_ns()], sort_keys=True).encode()).hexdigest()
        repo["commits"][oid], repo["refs"][ref] = commit, oid
        return oid

    def resolve(self, repo_id: str, revision: str) -> str:
        """A branch, tag or (short) commit hash to a full commit hash."""
        repo = self.repos[repo_id]
        revision = "main" if revision == "HEAD" else revision
        for table in (repo["refs"], repo["tags"]):
            if revision in table:
                return table[revision]
        if COMMIT.match(revision):
            hits = [oid for oid in repo["commits"] if oid.startswith(revision)]
            if len(hits) == 1:
                return hits[0]
        raise HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")

    def tree(self, repo_id: str, revision: str) -> dict[str, dict[str, Any]]:
        return self.repos[repo_id]["commits"][self.resolve(repo_id, revision)]["tree"]


def timestamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())


def _git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
