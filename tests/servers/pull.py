"""The loopback Hub's read routes: files with ranges and redirects, repository information, trees and refs."""

import hashlib
import re
import time
from typing import Any

from .cards import front_matter
from .handler import HubHandler
from .store import HubError, timestamp

__all__ = ["PullRoutes", "REPO"]

REPO = r"(?P<repo_id>[\w.\-]+/[\w.\-]+)"
API = rf"^/api/models/{REPO}"


class PullRoutes(HubHandler):
    """What `hf_hub_download`, `snapshot_download` and `model_info` ask for."""

    routes = [  # noqa: RUF012
        ("GET HEAD", rf"^/{REPO}/(?:resolve|raw)/(?P<rest>.+)$", "get_file"),
        ("GET HEAD", r"^/_cdn/(?P<sha256>[0-9a-f]{64})$", "get_cdn"),
        ("GET", rf"{API}(?:/revision/(?P<revision>.+))?$", "get_info"),
        ("GET", rf"{API}/refs$", "get_refs"),
        ("GET", rf"{API}/tree/(?P<revision>[^/]+)$", "get_tree"),
        ("GET", rf"{API}/xet-(?P<kind>read|write)-token/(?P<revision>.+)$", "get_xet_token"),
    ]

    def get_file(self, repo_id: str, rest: str, data: bytes) -> None:
        repo = self.repo(repo_id, content=True)
        revision, path = self.split_revision(repo_id, rest)
        oid = self.config.store.resolve(repo_id, revision)
        entry = repo["commits"][oid]["tree"].get(path)
        if entry is None:
            raise HubError(404, "EntryNotFound", "Entry not found", headers={"X-Repo-Commit": oid})
        headers = {"X-Repo-Commit": oid, "Accept-Ranges": "bytes", "ETag": f'"{entry["oid"]}"'}
        if not entry["lfs"]:
            self.send_object(entry["sha"], headers)
            return
        origin = self.base("localhost")  # as the Hub, so that a leaked token is seen
        headers |= {"X-Linked-Size": str(entry["size"]), "X-Linked-Etag": f'"{entry["sha"]}"'}
        headers |= {"Location": f"{origin}/_cdn/{entry['sha']}"}
        if entry.get("xet"):
            refresh = f"{self.base()}/api/models/{repo_id}/xet-read-token/{oid}"
            headers |= {"X-Xet-Hash": entry["xet"], "Link": f'<{refresh}>; rel="xet-auth"'}
        self.answer(302, b"Found. Redirecting", headers, "text/plain")

    def get_cdn(self, sha256: str, data: bytes) -> None:
        self.send_object(sha256, {"ETag": f'"{sha256}"'})

    def send_object(self, sha256: str, headers: dict[str, str]) -> None:
        body, kind = self.config.store.read(sha256), self.fault.get("kind")
        if kind == "corrupt":  # the same size, one byte flipped
            at = self.fault.get("at", len(body) // 2)
            body = body[:at] + bytes([body[at] ^ 0xFF]) + body[at + 1 :]
        if kind == "short":  # consistent headers, but too short a body
            body = body[: -self.fault["by"]]
        headers = {"Accept-Ranges": "bytes", **headers}
        asked = re.match(r"bytes=(\d+)-(\d*)$", self.headers.get("Range", ""))
        if not asked:
            self.answer(200, body, headers, "application/octet-stream")
            return
        first, last = int(asked[1]), min(int(asked[2] or len(body) - 1), len(body) - 1)
        if first >= len(body):
            raise HubError(416, message="range", headers={"Content-Range": f"bytes */{len(body)}"})
        headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
        self.answer(206, body[first : last + 1], headers, "application/octet-stream")

    def get_info(self, repo_id: str, revision: str | None, data: bytes) -> None:
        repo, store = self.repo(repo_id), self.config.store
        oid = store.resolve(repo_id, revision or "main")
        tree, card = repo["commits"][oid]["tree"], {}
        if "README.md" in tree:
            card = front_matter(store.read(tree["README.md"]["sha"]).decode())[0] or {}
        info = {
            "_id": hashlib.md5(repo_id.encode()).hexdigest()[:24],
            "id": repo_id,
            "modelId": repo_id,
            "author": repo_id.split("/")[0],
            "sha": oid,
            "lastModified": repo["commits"][oid]["date"],
            "createdAt": timestamp(),
            "private": repo["private"],
            "gated": "auto" if repo["gated"] else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "cardData": card,
            "tags": [str(tag) for tag in card.get("tags") or []],
            **{key: card.get(key) for key in ("library_name", "pipeline_tag")},
            "siblings": [self.sibling(path, entry) for path, entry in sorted(tree.items())],
        }
        self.answer(200, info)

    def sibling(self, path: str, entry: dict[str, Any]) -> dict[str, Any]:
        if not self.query.get("blobs"):
            return {"rfilename": path}
        lfs = entry["lfs"] and {
            "sha256": entry["sha"],
            "size": entry["size"],
            "pointerSize": entry["lfs"]["pointerSize"],
        }
        return {"rfilename": path, "size": entry["size"], "blobId": entry["oid"], "lfs": lfs}

    def get_refs(self, repo_id: str, data: bytes) -> None:
        repo = self.repo(repo_id)

        def rows(table: dict[str, str], prefix: str) -> list[dict[str, str]]:
            plain = [(name, oid) for name, oid in table.items() if not name.startswith("refs/")]
            return [{"name": name, "ref": prefix + name, "targetCommit": oid} for name, oid in plain]

        branches, tags = rows(repo["refs"], "refs/heads/"), rows(repo["tags"], "refs/tags/")
        self.answer(200, {"branches": branches, "tags": tags, "converts": []})

    def get_tree(self, repo_id: str, revision: str, data: bytes) -> None:
        self.repo(repo_id)
        rows = []
        for path, entry in sorted(self.config.store.tree(repo_id, revision).items()):
            row = {"type": "file", "path": path, "size": entry["size"], "oid": entry["oid"]}
            row |= {"lfs": entry["lfs"]} if entry["lfs"] else {}
            rows.append(row | ({"xetHash": entry["xet"]} if entry.get("xet") else {}))
        self.answer(200, rows)

    def get_xet_token(self, repo_id: str, kind: str, revision: str, data: bytes) -> None:
        if not self.config.xet_cas:
            raise HubError(404, message="this server has no Xet storage")
        if kind == "write":
            self.need_write(repo_id)
        expires = int(time.time()) + 3600
        headers = {"X-Xet-Cas-Url": self.config.xet_cas, "X-Xet-Access-Token": "xet"}
        headers["X-Xet-Token-Expiration"] = str(expires)
        self.answer(200, {"casUrl": self.config.xet_cas, "accessToken": "xet", "exp": expires}, headers)

    def split_revision(self, repo_id: str, rest: str) -> tuple[str, str]:
        """'refs/pr/1/a/b' or 'main/a/b' to (revision, path); a ref may hold slashes."""
        repo = self.repo(repo_id)
        for ref in sorted([*repo["refs"], *repo["tags"]], key=len, reverse=True):
            if rest.startswith(ref + "/"):
                return ref, rest[len(ref) + 1 :]
        revision, _, path = rest.partition("/")
        return revision, path
