"""A loopback github.com for an unpatched torch.hub: an HTTPS proxy that ends TLS for GitHub's hosts.

Archives come from `git archive` of real repositories, as GitHub's do. Needs the git and openssl commands.
"""

import json
import re
import shutil
import ssl
import subprocess
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from .loopback import LoopbackServer

__all__ = ["GitHubServer"]

HOSTS = ("github.com", "api.github.com", "codeload.github.com")


class GitHubServer(LoopbackServer):
    """A running server; close it with `close`.

    Args:
        root: folder for the certificate and for <owner>/<name> repositories.

    Attributes:
        env: environment variables that lead a client here.
        journal: (host, path, status) of every request.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.journal = root, []
        root.mkdir(parents=True, exist_ok=True)
        super().__init__(_Handler, root=root, chain=make_certificate(root), journal=self.journal)
        self.env = {"https_proxy": self.url, "no_proxy": "127.0.0.1,localhost", "SSL_CERT_FILE": str(root / "ca.pem")}

    def put(self, repo: str, folder: Path, *, branch: str = "main", tag: str = "") -> str:
        """Commit a folder's files to "owner/name" and return the commit's hash.

        Args:
            repo: created where it does not exist.
            folder: what the commit holds; files that are not in it are removed.
            branch: which branch.
            tag: also set this tag.
        """
        path = self.root / repo
        if not path.exists():
            path.mkdir(parents=True)
            git(path, "init", "--quiet", "--initial-branch", branch)
        elif git(path, "branch", "--list", branch):
            git(path, "checkout", "--quiet", branch)
        else:
            git(path, "checkout", "--quiet", "-b", branch)
        for old in path.iterdir():
            if old.name != ".git":
                shutil.rmtree(old) if old.is_dir() else old.unlink()
        shutil.copytree(folder, path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".git", "__pycache__"))
        git(path, "add", "--all")
        author = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        git(path, *author, "commit", "--quiet", "--allow-empty", "--message", "put")
        if tag:
            git(path, "tag", tag)
        return git(path, "rev-parse", "HEAD").decode().strip()


def git(repo: Path, *args: str) -> bytes:
    """Run git in a repository and return what it prints."""
    return subprocess.run(["git", "-C", str(repo), *args], check=True, capture_output=True).stdout


def make_certificate(root: Path) -> Path:
    """A certificate authority (root/ca.pem) and a server certificate signed by it; returns the latter with its key."""

    def openssl(command: str, *args: str) -> None:
        subprocess.run(["openssl", *command.split(), *args], check=True, capture_output=True, cwd=root)

    new = "req -newkey rsa:2048 -nodes"
    authority = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign"]
    openssl(f"{new} -x509 -days 30 -keyout ca.key -out ca.pem", "-subj", "/CN=loopback CA", *authority)
    openssl(f"{new} -keyout host.key -out host.csr", "-subj", "/CN=github.com")
    (root / "host.ext").write_text("subjectAltName=" + ",".join(f"DNS:{host}" for host in HOSTS))
    openssl("x509 -req -in host.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile host.ext -out host.pem")
    chain = root / "host-chain.pem"
    chain.write_text((root / "host.key").read_text() + (root / "host.pem").read_text())
    return chain


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root: Path
    chain: Path
    journal: list[tuple[str, str, int]]
    tls_host = ""

    def log_message(self, *args: Any) -> None:
        pass

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain)
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
        self.tls_host = self.path.split(":")[0]
        self.close_connection = False

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        page = re.match(r"^/([^/]+/[^/]+)/(tree|zipball|archive)/(.+?)(?:\.zip)?/?$", path)
        listing = re.match(r"^/repos/([^/]+/[^/]+)/(branches|tags)$", path)
        if self.tls_host == "api.github.com" and listing:
            self.list_refs(*listing.groups())
        elif self.tls_host != "api.github.com" and page:
            self.send_page(*page.groups())
        else:
            self.answer(404, {"message": "Not Found"})

    def send_page(self, repo: str, kind: str, ref: str) -> None:
        ref = ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
        try:
            sha = git(self.root / repo, "rev-parse", "--verify", ref + "^{commit}").decode().strip()
        except subprocess.CalledProcessError:
            self.answer(404, {"message": "Not Found"})
            return
        if kind == "tree":
            self.answer(200, b"<html>", "text/html")
            return
        prefix = f"--prefix={repo.replace('/', '-')}-{sha[:7]}/"
        self.answer(200, git(self.root / repo, "archive", "--format=zip", prefix, sha), "application/zip")

    def list_refs(self, repo: str, kind: str) -> None:
        if not (self.root / repo).is_dir():
            self.answer(404, {"message": "Not Found"})
            return
        refs = "refs/heads" if kind == "branches" else "refs/tags"
        lines = git(self.root / repo, "for-each-ref", "--format=%(refname:short) %(objectname)", refs).decode()
        rows = [{"name": ref, "commit": {"sha": sha}} for ref, sha in (line.split() for line in lines.splitlines())]
        page = re.search(r"[?&]page=(\d+)", self.path)
        self.answer(200, rows if page is None or page[1] == "1" else [])

    def answer(self, status: int, data: Any = b"", content_type: str = "application/json") -> None:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.journal.append((self.tls_host, self.path, status))
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
