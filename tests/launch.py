"""Programs that are started as a user starts them: as one process, or by torchrun as several."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["ENV", "ROOT", "command", "run"]

ROOT = Path(__file__).parents[1]
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def command(processes: int, *arguments: object, nodes: Sequence[str] = ("--standalone",)) -> list[str]:
    """The command line of a Python program in so many processes on each of torchrun's nodes."""
    torchrun = ["-m", "torch.distributed.run", *nodes, f"--nproc-per-node={processes}"]
    alone = processes == 1 and "--standalone" in nodes
    return [sys.executable, *([] if alone else torchrun), *map(str, arguments)]


def run(processes: int, *arguments: object, fails: bool = False, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    """Run a Python program on the CPU to its end, which must be a success unless it ``fails``."""
    program = command(processes, *arguments)
    done = subprocess.run(program, cwd=cwd, env=ENV, capture_output=True, text=True, timeout=280)
    assert (done.returncode != 0) is fails, done.stderr[-3000:]
    return done
