"""The routes of the loopback Hub: reading files and trees, and writing repositories, uploads, commits and tags."""

import base64
import json
import re
import time
from typing import Any

from huggingface_hub import ModelCard
from yaml import YAMLError

from .handler import HubHandler
from .store import LFS_SUFFIXES, HubError
from .xet import xet_hashes

__all__ = ["HubRoutes"]

REPO = r"(?P<repo_id>[\w.\-]+/[\w.\-]+)"
OBJECT = r"^/_lfs/(?P<sha256>[0-9a-f]{64})"
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


class HubRoutes(PullRoutes):
    """What `create_repo`, `create_commit`, `create_tag` and their opposites ask for."""

    routes = [  # noqa: RUF012
        *PullRoutes.routes,
        ("POST", r"^/api/repos/create$", "create_repo"),
        ("POST", r"^/api/validate-yaml$", "validate_card"),
        ("POST", rf"{API}/preupload/(?P<revision>.+)$", "preupload"),
        ("POST", rf"^/{REPO}\.git/info/lfs/objects/batch$", "lfs_batch"),
        ("PUT", rf"{OBJECT}$", "lfs_put"),
        ("POST", rf"{API}/commit/(?P<revision>.+)$", "commit"),
        ("POST DELETE", rf"{API}/tag/(?P<revision>.+)$", "tag"),
    ]

    def create_repo(self, data: bytes) -> None:
        asked = json.loads(data)
        repo_id = f"{asked['organization']}/{asked['name']}"
        self.need_write(repo_id)
        store, url = self.hub.store, f"{self.base()}/{repo_id}"
        with store.lock:
            if repo_id in store.repos:  # the client reads the url of a 409 too
                message = "You already created this model repo"
                raise HubError(409, message=message, body={"error": message, "url": url})
            store.create(repo_id)
        self.answer(200, {"url": url, "name": repo_id, "id": repo_id})

    def validate_card(self, data: bytes) -> None:
        errors = []
        try:
            ModelCard(json.loads(data)["content"])
        except (ValueError, YAMLError) as error:
            errors = [{"message": str(error)}]
        self.answer(400 if errors else 200, {"errors": errors, "warnings": []})

    def preupload(self, repo_id: str, revision: str, data: bytes) -> None:
        self.repo(repo_id)
        self.need_write(repo_id)
        tree, rows = self.hub.store.tree(repo_id, revision), []
        for asked in json.loads(data)["files"]:
            path, entry = asked["path"], tree.get(asked["path"])
            oid = entry and (entry["sha"] if entry["lfs"] else entry["oid"])
            mode = "lfs" if path.endswith(LFS_SUFFIXES) else "regular"
            rows.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self.answer(200, {"files": rows, "commitOid": self.hub.store.resolve(repo_id, revision)})

    def lfs_batch(self, repo_id: str, data: bytes) -> None:
        self.need_write(repo_id)
        rows = []
        for asked in json.loads(data)["objects"]:
            oid, size = asked["oid"], asked["size"]
            row: dict[str, Any] = {"oid": oid, "size": size}
            if not self.hub.store.path_of(oid).exists():
                row["actions"] = {"upload": {"href": f"{self.base()}/_lfs/{oid}", "header": {}}}
            rows.append(row)
        self.answer(200, {"transfer": "basic", "objects": rows}, content_type="application/vnd.git-lfs+json")

    def lfs_put(self, sha256: str, data: bytes) -> None:
        self.hub.store.keep(data)
        self.answer(200, {})

    def commit(self, repo_id: str, revision: str, data: bytes) -> None:
        store, adds = self.hub.store, {}
        self.repo(repo_id)
        self.need_write(repo_id)
        for line in data.splitlines():
            key, value = (row := json.loads(line))["key"], row["value"]
            if key == "file":
                adds[value["path"]] = store.entry(base64.b64decode(value["content"]), lfs=False)
            elif key == "lfsFile":
                adds[value["path"]] = self.uploaded_entry(value)
        with store.lock:
            oid = store.commit(repo_id, adds)
        url = f"{self.base()}/{repo_id}/commit/{oid}"
        self.answer(200, {"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})

    def uploaded_entry(self, asked: dict[str, Any]) -> dict[str, Any]:
        store, oid = self.hub.store, asked["oid"]
        if store.path_of(oid).exists():
            return store.lfs_entry(oid, store.path_of(oid).stat().st_size)
        xet = xet_hashes(self.hub.xet_cas).get(oid) if self.hub.xet_cas else None
        if xet is None:
            raise HubError(400, message=f"LFS object {oid} was never uploaded")
        return {**store.lfs_entry(oid, asked["size"]), "xet": xet}

    def tag(self, repo_id: str, revision: str, data: bytes) -> None:
        tags, store = self.repo(repo_id)["tags"], self.hub.store
        self.need_write(repo_id)
        if self.command == "DELETE":
            tags.pop(revision, None)
        else:
            tags[json.loads(data)["tag"]] = store.resolve(repo_id, revision)
        self.answer(200, {})
