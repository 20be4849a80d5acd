"""The loopback Hub's write routes: repositories, LFS uploads, commits, branches and tags."""

import base64
import hashlib
import json
from typing import Any

from huggingface_hub import ModelCard
from yaml import YAMLError

from .handler import HubHandler
from .pull import API, REPO
from .store import LFS_SUFFIXES, HubError
from .xet import xet_hashes

__all__ = ["PushRoutes"]

OBJECT = r"^/_lfs/(?P<sha256>[0-9a-f]{64})"


class PushRoutes(HubHandler):
    """What `create_repo`, `create_commit`, `create_tag` and their opposites ask for."""

    routes = [  # noqa: RUF012
        ("POST", r"^/api/repos/create$", "create_repo"),
        ("POST", r"^/api/validate-yaml$", "validate_card"),
        ("POST", rf"{API}/preupload/(?P<revision>.+)$", "preupload"),
        ("POST", rf"^/{REPO}\.git/info/lfs/objects/batch$", "lfs_batch"),
        ("POST", rf"{OBJECT}/verify$", "lfs_verify"),
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
                verify = {"href": f"{self.base()}/_lfs/{oid}/verify", "header": {}}
                row["actions"] = {"upload": {"href": f"{self.base()}/_lfs/{oid}", "header": {}}, "verify": verify}
            rows.append(row)
        self.answer(200, {"transfer": "basic", "objects": rows}, content_type="application/vnd.git-lfs+json")

    def lfs_put(self, sha256: str, data: bytes) -> None:
        if hashlib.sha256(data).hexdigest() != sha256:  # as the object store does with a signed checksum
            raise HubError(400, message="sha256 of the uploaded bytes does not match the LFS oid")
        self.hub.store.keep(data)
        self.answer(200, {})

    def lfs_verify(self, sha256: str, data: bytes) -> None:
        asked = json.loads(data)
        path = self.hub.store.path_of(asked["oid"])
        if not path.exists() or path.stat().st_size != asked["size"]:
            raise HubError(404, message="LFS object missing or of the wrong size")
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
            name = json.loads(data)["tag"]
            if name in tags:
                raise HubError(409, message="Reference already exists")
            tags[name] = store.resolve(repo_id, revision)
        self.answer(200, {})
