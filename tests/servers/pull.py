"""The loopback Hub's read routes: files with ranges and redirects, repository information, trees and refs."""

import re
import time

from .handler import HubHandler
from .store import HubError

__all__ = ["PullRoutes", "REPO"]

REPO = r"(?P<repo_id>[\w.\-]+/[\w.\-]+)"
API = rf"^/api/models/{REPO}"


class PullRoutes(HubHandler):
    """What `hf_hub_download`, `snapshot_download` and `model_info` ask for."""

    routes = [  # noqa: RUF012
        ("GET HEAD", rf"^/{REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)$", "get_file"),
        ("GET HEAD", r"^/_cdn/(?P<sha256>[0-9a-f]{64})$", "get_cdn"),
        ("GET", rf"{API}(?:/revision/(?P<revision>.+))?$", "get_info"),
        ("GET", rf"{API}/refs$", "get_refs"),
        ("GET", rf"{API}/tree/(?P<revision>[^/]+)$", "get_tree"),
        ("GET", rf"{API}/xet-(?:read|write)-token/(?P<revision>.+)$", "get_xet_token"),
    ]

    def get_file(self, repo_id: str, revision: str, path: str, data: bytes) -> None:
        self.repo(repo_id, content=True)
        oid = self.hub.store.resolve(repo_id, revision)
        entry = self.hub.store.tree(repo_id, oid).get(path)
        if entry is None:
            raise HubError(404, "EntryNotFound", "Entry not found", headers={"X-Repo-Commit": oid})
        headers = {"X-Repo-Commit": oid, "ETag": f'"{entry["oid"]}"'}
        if not entry["lfs"]:
            self.send_object(entry["sha"], headers)
            return
        headers |= {"X-Linked-Size": str(entry["size"]), "X-Linked-Etag": f'"{entry["sha"]}"'}
        # another host, as the Hub's, or clients would not take the answer for a redirect
        headers |= {"Location": f"{self.base('localhost')}/_cdn/{entry['sha']}"}
        if entry.get("xet"):
            refresh = f"{self.base()}/api/models/{repo_id}/xet-read-token/{oid}"
            headers |= {"X-Xet-Hash": entry["xet"], "Link": f'<{refresh}>; rel="xet-auth"'}
        self.answer(302, b"Found. Redirecting", headers, "text/plain")

    def get_cdn(self, sha256: str, data: bytes) -> None:
        self.send_object(sha256, {"ETag": f'"{sha256}"'})

    def send_object(self, sha256: str, headers: dict[str, str]) -> None:
        body, kind = self.hub.store.read(sha256), self.fault.get("kind")
        if kind == "corrupt":  # the same size, one byte flipped
            at = self.fault.get("at", len(body) // 2)
            body = body[:at] + bytes([body[at] ^ 0xFF]) + body[at + 1 :]
        if kind == "short":  # consistent headers, but too short a body
            body = body[: -self.fault["by"]]
        asked = re.match(r"bytes=(\d+)-(\d*)$", self.headers.get("Range", ""))
        if not asked:
            self.answer(200, body, headers, "application/octet-stream")
            return
        first, last = int(asked[1]), int(asked[2] or len(body) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
        self.answer(206, body[first : last + 1], headers, "application/octet-stream")

    def get_info(self, repo_id: str, revision: str | None, data: bytes) -> None:
        self.repo(repo_id)
        oid = self.hub.store.resolve(repo_id, revision or "main")
        siblings = [{"rfilename": path} for path in sorted(self.hub.store.tree(repo_id, oid))]
        self.answer(200, {"id": repo_id, "sha": oid, "siblings": siblings})

    def get_refs(self, repo_id: str, data: bytes) -> None:
        repo = self.repo(repo_id)

        def rows(table: dict[str, str], prefix: str) -> list[dict[str, str]]:
            return [{"name": name, "ref": prefix + name, "targetCommit": oid} for name, oid in table.items()]

        branches, tags = rows(repo["refs"], "refs/heads/"), rows(repo["tags"], "refs/tags/")
        self.answer(200, {"branches": branches, "tags": tags, "converts": []})

    def get_tree(self, repo_id: str, revision: str, data: bytes) -> None:
        self.repo(repo_id)
        rows = []
        for path, entry in sorted(self.hub.store.tree(repo_id, revision).items()):
            row = {"type": "file", "path": path, "size": entry["size"], "oid": entry["oid"]}
            row |= {"lfs": entry["lfs"]} if entry["lfs"] else {}
            rows.append(row | ({"xetHash": entry["xet"]} if entry.get("xet") else {}))
        self.answer(200, rows)

    def get_xet_token(self, repo_id: str, revision: str, data: bytes) -> None:
        url, expires = self.hub.xet_cas, int(time.time()) + 3600
        headers = {"X-Xet-Cas-Url": url, "X-Xet-Access-Token": "xet", "X-Xet-Token-Expiration": str(expires)}
        self.answer(200, {"casUrl": url, "accessToken": "xet", "exp": expires}, headers)
