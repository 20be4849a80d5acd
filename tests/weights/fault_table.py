"""Runs every fault and writes what its user reads: python -m tests.weights.fault_table > docs/loading-errors.md"""

import json
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.servers.client import client_env, run_client
from tests.servers.files import FileServer
from tests.servers.hub import HubServer
from tests.weights.faults import CASES, Case, prepare

__all__ = ["can_fill_a_disk", "render", "run_faults"]

INTRO = """# Errors when weights are loaded

```bash
gmconv verify
```

This checks every pretrained weight in the cache, without a connection ([pretrained weights](weights.md)).

Nothing is loaded in part, unless you pass `pretrained_strict=False`: `timm.create_model(..., pretrained=True)` either
returns a model whose every tensor was checked, or raises an error. For tags of this package, every error below is a
`gmconv_zoo.weights.errors.WeightsError`, which is a `RuntimeError`.

COMMIT, SHA256, CACHE and SERVER are placeholders. "(it loads)" means that no error is raised.

| what went wrong | what you read |
|---|---|
"""
CLIENT = """
import time
from pathlib import Path
from gmconv_zoo.weights.fetch import cached_file
from gmconv_zoo.weights.specs import WeightSpec
from tests.weights.client_tools import Warnings, create
time.sleep = lambda seconds: None  # the libraries' pauses between attempts
warnings, rows = Warnings(), {}
for case in _json.loads(_os.environ["CASES"]):
    _os.environ["HF_TOKEN"] = case["token"]
    spec = WeightSpec(**case["spec"])
    if case["warm"] or case["harm"]:
        create(spec)
    if case["harm"]:
        path = cached_file(spec).resolve()
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    warnings.take()
    try:
        net = create(spec, **({"cache_dir": _os.environ["SMALL"]} if case["small_disk"] else {}))
        kind, message, bias = "", "", net.fc.bias.tolist()
    except Exception as error:
        kind, message, bias = type(error).__name__, str(error), None
    files = Path(_os.environ["WATCHED"]).rglob("*")
    partial = [str(path) for path in files if path.suffix in (".incomplete", ".partial")]
    cached = cached_file(spec) is not None
    outcome = dict(kind=kind, message=message, bias=bias, warnings=warnings.take())
    rows[spec.tag] = dict(outcome, cached=cached, partial=partial)
report(rows=rows)
"""
SMALL_DISK = 'mount -t tmpfs -o size=6m tmpfs "$0" && exec "$@"'


def can_fill_a_disk() -> bool:
    """Whether this machine lets a test mount a small disk of its own."""
    try:
        done = subprocess.run(["unshare", "-rm", "sh", "-c", SMALL_DISK, tempfile.gettempdir(), "true"], check=False)
    except OSError:
        return False
    return done.returncode == 0


def run_faults(folder: Path, *, environment: dict[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """Make every fault happen, with further variables in the clients' ``environment``.

    Returns slug -> kind and message of the error ("" without one), warnings, cached (whether the file is in the cache
    afterwards) and partial (unfinished files); a full disk is left out where none can be made.
    """
    hub, files = HubServer(folder / "hub"), FileServer()
    specs = {case.slug: prepare(case, hub, files) for case in CASES}

    home, small = folder / "home", folder / "home" / "small"
    small.mkdir(parents=True)
    small_disk = ("unshare", "-rm", "sh", "-c", SMALL_DISK, str(small)) if can_fill_a_disk() else ()

    def run(process: str) -> dict[str, dict[str, Any]]:
        cases = [case for case in CASES if case.process == process and (small_disk or not case.small_disk)]
        env = client_env(home, endpoint="" if process == "dead" else hub.url, offline=process == "offline")
        asked = ("token", "warm", "harm", "small_disk")
        rows = [{"spec": specs[case.slug], **{name: getattr(case, name) for name in asked}} for case in cases]
        env |= {"CASES": json.dumps(rows), "WATCHED": str(home), "SMALL": str(small)}
        env |= {"CLIENT_REPORT": str(folder / f"{process}.json"), **(environment or {})}
        found = run_client(CLIENT, env, wrapper=small_disk if process == "online" else ()).result["rows"]
        return {slug: _neutral(row, home) for slug, row in found.items()}

    results = run("online")  # the others find what this one cached
    with ThreadPoolExecutor() as pool:
        for rows in pool.map(run, ("dead", "offline")):
            results |= rows
    hub.close()
    files.close()
    return results


def render(results: dict[str, dict[str, Any]]) -> str:
    """The page: one row per fault that was run."""
    return INTRO + "".join(_row(case, results[case.slug]) for case in CASES if case.slug in results)


def _neutral(row: dict[str, Any], home: Path) -> dict[str, Any]:
    """Replace what differs from run to run."""

    def clean(text: str) -> str:
        text = text.replace(str(home), "CACHE")
        text = re.sub(r"http://127.0.0.1:\d+", "https://SERVER", text)
        text = re.sub(r"snapshots/[0-9a-f]{40}", "snapshots/COMMIT", text)
        return re.sub(r"\b([0-9a-f]{64}|(?=\w*[1-9a-f])[0-9a-f]{8})\b", "SHA256", text)

    return {**row, "message": clean(row["message"]), "warnings": [clean(text) for text in row["warnings"]]}


def _row(case: Case, result: dict[str, Any]) -> str:
    read = result["message"] or " ".join(["(it loads)", *result["warnings"]])
    return f"| {case.title} | {read} |\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        print(render(run_faults(Path(temporary))), end="")
