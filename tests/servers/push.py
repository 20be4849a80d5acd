"""The loopback Hub's write routes: repositories, LFS uploads, commits, branches and tags."""

import base64
import hashlib
import json
import re
from typing import Any

from .cards import card_problems
from .handler import HubHandler
from .pull import API, REPO
from .store import HubError
from .xet import xet_hashes

__all__ = ["PushRoutes"]

UPLOADED_AS_LFS = re.compile(r"\.(safetensors|bin|pt|pth|onnx|zip|tar|gz|npz|ckpt|h5|msgpack|parquet|arrow)$")
LFS_SIZE = 10 * 1024 * 1024
OBJECT = r"^/_lfs/(?P<sha256>[0-9a-f]{64})"


class PushRoutes(HubHandler):
    """What `create_repo`, `create_commit`, `create_tag` and their opposites ask for."""

    routes = [  # noqa: RUF012
        ("POST", r"^/api/repos/create$", "create_repo"),
        ("POST", r"^/api/repos/move$", "move_repo"),
        ("DELETE", r"^/api/repos/delete$", "delete_repo"),
        ("POST", r"^/api/validate-yaml$", "validate_card"),
        ("POST", rf"{API}/preupload/(?P<revision>.+)$", "preupload"),
        ("POST", rf"^/{REPO}\.git/info/lfs/objects/batch$", "lfs_batch"),
        ("POST", rf"{OBJECT}/complete$", "lfs_complete"),
        ("POST", rf"{OBJECT}/verify$", "lfs_verify"),
        ("PUT", rf"{OBJECT}(?:/part/(?P<part>\d+))?$", "lfs_put"),
        ("POST", rf"{API}/commit/(?P<revision>.+)$", "commit"),
        ("POST DELETE", rf"{API}/(?P<kind>tag|branch)/(?P<revision>.+)$", "ref"),
    ]

    def create_repo(self, data: bytes) -> None:
        asked = json.loads(data)
        repo_id = self.full_id(asked)
        self.need_write(repo_id)
        store, url = self.config.store, f"{self.base()}/{repo_id}"
        with store.lock:
            if repo_id in store.repos:  # the client reads the url of a 409 too
                message = "You already created this model repo"
                raise HubError(409, message=message, body={"error": message, "url": url})
            store.create(repo_id, private=asked.get("visibility") == "private" or bool(asked.get("private")))
        self.answer(200, {"url": url, "name": repo_id, "id": repo_id})

    def move_repo(self, data: bytes) -> None:
        asked, store = json.loads(data), self.config.store
        self.need_write(asked["fromRepo"])
        store.repos[asked["toRepo"]] = store.repos.pop(asked["fromRepo"])
        store.moved[asked["fromRepo"]] = asked["toRepo"]
        store.save()
        self.answer(200, {})

    def delete_repo(self, data: bytes) -> None:
        repo_id, store = self.full_id(json.loads(data)), self.config.store
        self.need_write(repo_id)
        self.repo(repo_id)
        del store.repos[repo_id]
        store.save()
        self.answer(200, {})

    def full_id(self, asked: dict[str, Any]) -> str:
        if not self.namespaces:
            raise HubError(401, message="Invalid username or password.")
        return f"{asked.get('organization') or self.namespaces[0]}/{asked['name']}"

    def validate_card(self, data: bytes) -> None:
        errors, warnings = card_problems(json.loads(data)["content"])
        rows = {"errors": [{"message": e} for e in errors], "warnings": [{"message": w} for w in warnings]}
        self.answer(400 if errors else 200, rows)

    def preupload(self, repo_id: str, revision: str, data: bytes) -> None:
        self.repo(repo_id)
        if not self.query.get("create_pr"):
            self.need_write(repo_id)
        tree, rows = self.config.store.tree(repo_id, revision), []
        for asked in json.loads(data)["files"]:
            path, entry = asked["path"], tree.get(asked["path"])
            lfs = bool(UPLOADED_AS_LFS.search(path)) or asked["size"] > LFS_SIZE
            oid = entry and (entry["sha"] if entry["lfs"] else entry["oid"])
            mode = "lfs" if lfs else "regular"
            rows.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self.answer(200, {"files": rows, "commitOid": self.config.store.resolve(repo_id, revision)})

    def lfs_batch(self, repo_id: str, data: bytes) -> None:
        self.need_write(repo_id)
        rows = []
        for asked in json.loads(data)["objects"]:
            oid, size = asked["oid"], asked["size"]
            row: dict[str, Any] = {"oid": oid, "size": size}
            if not self.config.store.path_of(oid).exists():
                verify = {"href": f"{self.base()}/_lfs/{oid}/verify", "header": {}}
                row["actions"] = {"upload": self.upload_action(oid, size), "verify": verify}
            rows.append(row)
        self.answer(200, {"transfer": "basic", "objects": rows}, content_type="application/vnd.git-lfs+json")

    def upload_action(self, oid: str, size: int) -> dict[str, Any]:
        href, chunk = f"{self.base()}/_lfs/{oid}", self.config.multipart
        if size <= chunk:
            return {"href": href, "header": {}}
        parts = {f"{number:05d}": f"{href}/part/{number}" for number in range(1, -(-size // chunk) + 1)}
        return {"href": f"{href}/complete", "header": {"chunk_size": str(chunk), **parts}}

    def lfs_put(self, sha256: str, part: str | None, data: bytes) -> None:
        if part is None:
            self.keep_lfs(sha256, data)
            return
        (self.config.store.root / f"{sha256}.part{part}").write_bytes(data)
        self.answer(200, b"", {"ETag": f'"{hashlib.md5(data).hexdigest()}"'})

    def lfs_complete(self, sha256: str, data: bytes) -> None:
        parts = self.config.store.root.glob(f"{sha256}.part*")
        ordered = sorted(parts, key=lambda path: int(path.suffix.removeprefix(".part")))
        body = b"".join(path.read_bytes() for path in ordered)
        for path in ordered:
            path.unlink()
        self.keep_lfs(sha256, body)

    def keep_lfs(self, sha256: str, body: bytes) -> None:
        if hashlib.sha256(body).hexdigest() != sha256:  # as the object store does with a signed checksum
            raise HubError(400, message="sha256 of the uploaded bytes does not match the LFS oid")
        self.config.store.keep(body)
        self.answer(200, {})

    def lfs_verify(self, sha256: str, data: bytes) -> None:
        asked = json.loads(data)
        path = self.config.store.path_of(asked["oid"])
        if not path.exists() or path.stat().st_size != asked["size"]:
            raise HubError(404, message="LFS object missing or of the wrong size")
        self.answer(200, {})

    def commit(self, repo_id: str, revision: str, data: bytes) -> None:
        store, repo, as_request = self.config.store, self.repo(repo_id), self.query.get("create_pr")
        if not as_request:
            self.need_write(repo_id)
        header: dict[str, Any] = {}
        adds, deletes = {}, []
        for line in data.splitlines():
            key, value = (row := json.loads(line))["key"], row["value"]
            if key == "header":
                header = value
            elif key == "file":
                adds[value["path"]] = store.entry(base64.b64decode(value["content"]), lfs=False)
            elif key == "lfsFile":
                adds[value["path"]] = self.uploaded_entry(value)
            elif key in ("deletedFile", "deletedFolder"):
                deletes.append(value["path"])
        if "README.md" in adds and (errors := card_problems(store.read(adds["README.md"]["sha"]).decode())[0]):
            raise HubError(400, message="; ".join(errors))
        with store.lock:
            parent = store.resolve(repo_id, revision)
            if header.get("parentCommit") and not parent.startswith(header["parentCommit"]):
                raise HubError(412, message="A commit has happened since. Please refresh and try again.")
            if not as_request and revision not in repo["refs"]:
                raise HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            number = repo["pull_requests"] = repo["pull_requests"] + bool(as_request)
            ref = f"refs/pr/{number}" if as_request else revision
            title = header.get("summary", "")
            oid = store.commit(repo_id, ref, title, adds=adds, deletes=deletes, parent=parent)
        address = f"{self.base()}/{repo_id}"
        result = {"success": True, "commitOid": oid, "commitUrl": f"{address}/commit/{oid}", "hookOutput": ""}
        self.answer(200, result | ({"pullRequestUrl": f"{address}/discussions/{number}"} if as_request else {}))

    def uploaded_entry(self, asked: dict[str, Any]) -> dict[str, Any]:
        store, oid = self.config.store, asked["oid"]
        if store.path_of(oid).exists():
            return store.lfs_entry(oid, store.path_of(oid).stat().st_size)
        xet = xet_hashes(self.config.xet_cas).get(oid) if self.config.xet_cas else None
        if xet is None:
            raise HubError(400, message=f"LFS object {oid} was never uploaded")
        return {**store.lfs_entry(oid, asked["size"]), "xet": xet}

    def ref(self, repo_id: str, kind: str, revision: str, data: bytes) -> None:
        repo, store = self.repo(repo_id), self.config.store
        self.need_write(repo_id)
        table = repo["tags"] if kind == "tag" else repo["refs"]
        if self.command == "DELETE":
            table.pop(revision, None)
        else:
            asked = json.loads(data or b"{}")
            name, start = (asked["tag"], revision) if kind == "tag" else (revision, asked.get("startingPoint", "main"))
            if name in table:
                raise HubError(409, message="Reference already exists")
            table[name] = store.resolve(repo_id, start)
        store.save()
        self.answer(200, {})
