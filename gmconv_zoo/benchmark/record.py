"""A run of comparisons and its record: one JSON file with what was asked, the machine and every row."""

import itertools
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..engine.records import environment, write_json
from .measure import compare
from .settings import BenchmarkSettings
from .startup import startup_times

__all__ = ["run_benchmark"]

_logger = logging.getLogger(__name__)


def run_benchmark(
    parts: Sequence[BenchmarkSettings], path: str | Path | None = None, *, startup: bool = False
) -> dict[str, Any]:
    """Measure one part after the other.

    The file is written after every comparison, so that a run that is stopped leaves what it has measured.

    Args:
        parts: what to measure.
        path: JSON file to write; None for none.
        startup: measure import, creation and conversion as well.

    Returns:
        ``{"environment": ..., "startup": ..., "parts": [{"settings": ..., "rows": [...]}]}``.

    Raises:
        ValueError: when memory does not suffice for one of them.
    """
    malloc = {name: value for name, value in os.environ.items() if name.startswith(("MALLOC_", "OMP_", "MKL_"))}
    record: dict[str, Any] = {"environment": {**environment(), "variables": malloc}, "startup": None, "parts": []}
    if startup:
        record["startup"] = startup_times(busy=any(settings.busy for settings in parts))
        _logger.info("startup: %s", record["startup"])
    for settings in parts:
        rows: list[dict[str, Any]] = []
        record["parts"].append({"settings": settings.to_dict(), "rows": rows})
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
