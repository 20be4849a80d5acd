"""What comes before the first image: the time to import, to create a model and to convert one."""

import os
import statistics
import subprocess
import sys
import time
from typing import Any

import timm
import torch

from gmconv_zoo.conversion import convert

from .clock import time_together
from .subjects import standard_twin

__all__ = ["startup_times"]

_IMPORT = "import time; import timm; begin = time.{clock}(); import gmconv_zoo; print((time.{clock}() - begin) * 1000)"


def startup_times(*, net: str = "resnet50", rounds: int = 5, busy: bool = False) -> dict[str, Any]:
    """Measure startup on the CPU.

    Args:
        net: the network to create and to convert.
        rounds: the number of repetitions of each.
        busy: take the processor's time rather than the clock's, for a machine that does other work too.

    Returns:
        JSON-ready medians: milliseconds of ``import gmconv_zoo`` after ``import timm`` in a fresh interpreter, of
        `timm.create_model` for the masked and the plain network with their ratio, and of `convert`.
    """
    clock = "process_time" if busy else "perf_counter"
    imports = [_import_ms(clock) for _ in range(rounds + 1)][1:]  # the first one may compile files
    plain = timm.create_model(standard_twin(net))
    calls = {
        "plain": lambda: timm.create_model(standard_twin(net)),
        "gmconv": lambda: timm.create_model(f"gmconv_{net}"),
        "sgmconv": lambda: timm.create_model(f"sgmconv_{net}"),
        "convert": lambda: convert(plain),
    }
    timings = time_together(
        calls, torch.device("cpu"), seconds=0, min_rounds=rounds, clock=time.process_time if busy else time.perf_counter
    )
    return {
        "net": net,
        "rounds": rounds,
        "busy": busy,
        "import_ms": round(statistics.median(imports), 1),
        "create_plain_ms": round(timings["plain"].milliseconds, 1),
        "create_gmconv_ms": round(timings["gmconv"].milliseconds, 1),
        "create_sgmconv_ms": round(timings["sgmconv"].milliseconds, 1),
        "create_gmconv_ratio": round(1 / timings["gmconv"].ratio, 3),
        "create_sgmconv_ratio": round(1 / timings["sgmconv"].ratio, 3),
        "convert_ms": round(timings["convert"].milliseconds, 1),
    }


def _import_ms(clock: str) -> float:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", _IMPORT.format(clock=clock)]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
