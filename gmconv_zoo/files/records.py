"""Records of a run: one row per epoch in summary.csv, the outcome with machine and versions in results.json."""

import csv
import io
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch

from .._version import __version__
from .replacing import replacing

__all__ = [
    "RESULTS_NAME",
    "SUMMARY_NAME",
    "environment",
    "read_results",
    "read_rows",
    "replace_text",
    "write_csv",
    "write_json",
    "write_results",
    "write_rows",
]

SUMMARY_NAME, RESULTS_NAME = "summary.csv", "results.json"


def write_results(folder: str | Path, results: dict[str, Any]) -> Path:
    """Write JSON-ready values to results.json, with the machine and versions they were measured with."""
    return write_json(Path(folder) / RESULTS_NAME, {**results, "environment": environment()})


def read_results(folder: str | Path) -> dict[str, Any]:
    """Return the content of a folder's results.json, {} without one; ValueError if it is not such a record."""
    path = Path(folder) / RESULTS_NAME
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not a record that training wrote ({error!r}).") from error
    if not isinstance(record, dict):
        raise ValueError(f"{path} is not a record that training wrote (a {type(record).__name__}).")
    return record


def write_json(path: str | Path, values: Any) -> Path:
    """Replace a JSON file as a whole, creating its folder when missing; returns the path."""
    replace_text(Path(path), json.dumps(values, indent=2) + "\n")
    return Path(path)


def write_csv(path: str | Path, lines: Iterable[Iterable[Any]]) -> None:
    """Replace a CSV file as a whole; the first line holds the column names, the others the rows."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    replace_text(Path(path), text.getvalue())


def write_rows(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Replace a CSV file as a whole by rows of named values, with six digits of every float.

    The columns are those of all rows; a cell that a row does not have, or that is None, is empty. The values of a
    dictionary NAME get columns of their own, NAME/KEY.
    """
    rows = [_flat(row) for row in rows]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    write_csv(path, [columns, *([_short(row.get(key)) for key in columns] for row in rows)])


def read_rows(path: str | Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file by the names of their columns."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def environment() -> dict[str, Any]:
    """Return what a measured number depends on: versions, machine and, in a checkout, the commit."""
    return {
        "gmconv_zoo": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "timm": timm.__version__,
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        flat |= {f"{key}/{name}": part for name, part in value.items()} if isinstance(value, Mapping) else {key: value}
    return flat


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


def replace_text(path: Path, text: str) -> None:
    """Replace a text file as a whole, and create its folder if it does not exist.

    It is written as UTF-8, and bytes of file names that are not UTF-8 as escapes such as ``\\udce9``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8", errors="backslashreplace")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _commit() -> str | None:
    """Return the commit of the checkout, with "-dirty" if tracked files differ; None outside of a checkout."""
    here = Path(__file__)
    tracked = ["git", "ls-files", "--error-unmatch", here.name]
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        subprocess.run(tracked, cwd=here.parent, capture_output=True, timeout=10, check=True)
        answer = subprocess.run(describe, cwd=here.parent, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
