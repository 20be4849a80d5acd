"""A run of comparisons and its record: one JSON file with what was asked, the machine and every row."""

import itertools
import json
import logging
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from gmconv_zoo.engine.allocator import keep_freed_memory
from gmconv_zoo.files.records import environment, write_json

from .measure import compare
from .plans import BenchmarkSettings
from .startup import startup_times

__all__ = ["make_record", "merge_record", "run_benchmark"]

_logger = logging.getLogger(__name__)

_VARIABLES = ("MALLOC_", "OMP_", "MKL_", "TORCHINDUCTOR_CUDAGRAPHS")
_SAME = ("processor", "gpu", "cores", "threads", "torch", "timm", "variables", "freed_memory")
# What a part asks for, beside how long and of which kinds
_PLACE = ("nets", "tasks", "batches", "stem_only", "precision", "compile")


def run_benchmark(
    parts: Sequence[BenchmarkSettings],
    path: str | Path | None = None,
    *,
    startup: bool = False,
    keep_memory: bool = True,
) -> dict[str, Any]:
    """Measure one part after the other, and with ``startup`` also import, creation and conversion.

    The JSON file, if any, is written after every comparison, so that a run that is stopped leaves what it has measured.
    With ``keep_memory``, this process keeps freed memory on a CPU from now on, as training and validation do. Without,
    the C library returns activations to the system after every call, and fresh pages are what is timed.
    """
    record: dict[str, Any] = {"environment": _environment(parts, keep_memory), "startup": None, "parts": []}
    if startup:
        record["startup"] = startup_times(busy=any(settings.busy for settings in parts))
        _logger.info("startup: %s", record["startup"])
    for settings in parts:
        rows: list[dict[str, Any]] = []
        commit = record["environment"]["commit"]
        record["parts"].append({"commit": commit, "settings": asdict(settings), "rows": rows})
        for cell in itertools.product(settings.nets, settings.tasks, settings.batches, settings.formats):
            torch.compiler.reset()
            rows += compare(settings, *cell)
            if path is not None:
                write_json(path, record)
            for row in rows[-len(settings.compared) :]:
                _logger.info(
                    "%s %s batch %d %s, %s: %.1f ms, speed %.3f [%.3f, %.3f], memory %.3f",
                    *(row[key] for key in ("net", "task", "batch", "memory_format", "kind", "milliseconds", "ratio")),
                    *row["ratio_quartiles"],
                    row["memory_ratio"],
                )
    return record


def make_record(
    folder: str | Path, parts: Sequence[BenchmarkSettings], *, renew: bool = False, keep_memory: bool = True
) -> Path:
    """Measure parts, all on one device and in one precision, into the folder's file of that device and precision.

    With ``renew``, the parts take the place of their like in the record, see `merge_record`.
    """
    path = Path(folder) / f"{parts[0].device}_{parts[0].precision}.json"
    if not renew:
        run_benchmark(parts, path, startup=parts[0].device == "cpu", keep_memory=keep_memory)
        return path
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no record yet; measure all plans first (--record without --plan).")
    earlier = json.loads(path.read_text(encoding="utf-8"))
    where = _environment(parts, keep_memory)
    merge_record(earlier, {"environment": where, "parts": []})  # before anything is measured in vain
    return write_json(path, merge_record(earlier, run_benchmark(parts, keep_memory=keep_memory)))


def merge_record(earlier: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    """Return the earlier record with parts that ask for the same networks, tasks and batches replaced, others added.

    Figures of different machines or versions do not belong together: they are refused.
    """
    old, new = earlier["environment"], record["environment"]
    if differing := [name for name in _SAME if old.get(name) != new.get(name)]:
        name = differing[0]
        raise ValueError(
            f"{name} is {new.get(name)!r} here and was {old.get(name)!r} in the record: measure every plan anew, or "
            "write to another file with --output."
        )
    parts = [{"commit": old.get("commit"), **part} for part in earlier["parts"]]
    anew = {_place(part): {"commit": new.get("commit"), **part} for part in record["parts"]}
    kept = [anew.pop(_place(part), part) for part in parts]
    return {**earlier, "parts": [*kept, *anew.values()]}


def _environment(parts: Sequence[BenchmarkSettings], keep_memory: bool) -> dict[str, Any]:
    """Where these parts are measured, and whether freed memory is kept there; None where nothing is known of it."""
    variables = {name: value for name, value in os.environ.items() if name.startswith(_VARIABLES)}
    freed = None
    if all(settings.device == "cpu" for settings in parts) and platform.libc_ver()[0] == "glibc":
        freed = "kept" if keep_memory and keep_freed_memory() else "returned"
    return {**environment(), "variables": variables, "freed_memory": freed}


def _place(part: dict[str, Any]) -> str:
    return json.dumps([part["settings"].get(name) for name in _PLACE])
