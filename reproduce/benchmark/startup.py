"""What comes before the first image: the time to import, to create a model and to convert one."""

import os
import statistics
import subprocess
import sys
import time
from functools import partial
from typing import Any

import timm
import torch

from gmconv_zoo.conversion import convert
from gmconv_zoo.models._names import plain_name

from .clock import time_together

__all__ = ["startup_times"]

_IMPORT = "import time; import timm; begin = time.{clock}(); import gmconv_zoo; print((time.{clock}() - begin) * 1000)"


def startup_times(*, net: str = "resnet50", rounds: int = 5, busy: bool = False) -> dict[str, Any]:
    """Measure startup on the CPU so many times, and return medians; with ``busy`` in the processor's time.

    These are milliseconds of ``import gmconv_zoo`` after ``import timm`` in a fresh interpreter, of `timm.create_model`
    for the masked and the plain network with their ratio, and of `convert`.
    """
    clock = time.process_time if busy else time.perf_counter
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", _IMPORT.format(clock=clock.__name__)]
    imports = [
        float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
        for _ in range(rounds + 1)
    ][1:]  # the first one may compile files
    names = {"plain": plain_name(net), "gmconv": f"gmconv_{net}", "sgmconv": f"sgmconv_{net}"}
    calls = {kind: partial(timm.create_model, name) for kind, name in names.items()}
    calls["convert"] = partial(convert, timm.create_model(names["plain"]))
    timings = time_together(calls, torch.device("cpu"), seconds=0, min_rounds=rounds, clock=clock)
    return {
        "net": net,
        "rounds": rounds,
        "busy": busy,
        "import_ms": round(statistics.median(imports), 1),
        **{f"create_{kind}_ms": round(timings[kind]["milliseconds"], 1) for kind in names},
        **{f"create_{kind}_ratio": round(1 / timings[kind]["ratio"], 3) for kind in ("gmconv", "sgmconv")},
        "convert_ms": round(timings["convert"]["milliseconds"], 1),
    }
