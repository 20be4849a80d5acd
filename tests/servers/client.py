"""Runs client code in a process of its own, because huggingface_hub reads HF_ENDPOINT when it is imported."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Outcome", "client_env", "run_client"]

ROOT = Path(__file__).parents[2]
OURS = ("HF_", "HUGGING", "TORCH_HOME", "TIMM_", "TRANSFORMERS_", "XDG_CACHE")
PRELUDE = """
import json as _json, os as _os
def report(**values):
    with open(_os.environ["CLIENT_REPORT"], "w") as _file:
        _json.dump(values, _file)
"""


@dataclass(frozen=True)
class Outcome:
    """What a client passed to ``report``, empty where it did not, and what it printed."""

    result: dict[str, Any]
    stdout: str


def client_env(home: Path, *, endpoint: str = "", token: str = "", offline: bool = False) -> dict[str, str]:
    """Environment of a client whose caches are hf/ and torch/ below one folder and that never leaves this machine.

    The Hub's address is a dead one unless an ``endpoint`` is given.
    """
    env = {
        "HF_ENDPOINT": endpoint or "http://127.0.0.1:9",
        "HF_HOME": str(home / "hf"),
        "TORCH_HOME": str(home / "torch"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "CLIENT_REPORT": str(home / "report.json"),
        "no_proxy": "127.0.0.1,localhost",
        "OMP_NUM_THREADS": "1",
    }
    return env | ({"HF_TOKEN": token} if token else {}) | ({"HF_HUB_OFFLINE": "1"} if offline else {})


def run_client(code: str, env: dict[str, str], *, wrapper: tuple[str, ...] = ()) -> Outcome:
    """Run Python code from the repository's root with an environment of `client_env`; it has to succeed.

    It may call ``report(key=value, ...)`` once. ``wrapper`` is a command that runs it, e.g. in a namespace of its own.
    Importing torch and timm takes seconds, so let one client work through many cases.
    """
    report = Path(env["CLIENT_REPORT"])
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
    done = subprocess.run(
        [*wrapper, sys.executable, "-c", PRELUDE + code],
        env={**kept, "PYTHONPATH": str(ROOT), **env},
        cwd=ROOT,
        timeout=240,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise AssertionError(f"the client ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}")
    result = json.loads(report.read_text()) if report.exists() else {}
    return Outcome(result, done.stdout)
