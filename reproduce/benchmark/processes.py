"""Training and validation shared by several processes, each with one thread: time beside the standard network's."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from .clock import time_together
from .subjects import build_subject

__all__ = ["process_rows"]

_TASKS = ("training", "validation")
_NET, _IMAGES, _SIDE = "resnet18", 32, 64


def process_rows(kinds: Sequence[str], processes: int, *, seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Time a training step and a validation batch of ResNet-18 that processes share: a row per task and kind.

    The processes divide 32 images of 64 x 64 pixels. In training, they average their gradients; in validation, they
    add up their counts. The kinds are some of `KINDS`, the one to compare with first; every process needs a core of its
    own.
    """
    rows = []
    with _workers(kinds, processes) as workers:
        for task in _TASKS:
            steps = {kind: partial(_step_of_all, workers, (task, kind)) for kind in kinds}
            timings = time_together(steps, torch.device("cpu"), seconds=seconds, min_rounds=rounds)
            rows += [{"task": task, "kind": kind, **timings[kind]} for kind in kinds]
    return rows


@contextmanager
def _workers(kinds: Sequence[str], processes: int) -> Iterator[list[Connection]]:
    """Start processes that wait for the name of a task and a kind, and stop them in the end."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = zip(*(context.Pipe() for _ in range(processes)), strict=True)
        started = [
            context.Process(target=_work, args=(rank, processes, tuple(kinds), str(Path(folder, "store")), pipe))
            for rank, pipe in enumerate(theirs)
        ]
        for process in started:
            process.start()
        for pipe in theirs:
            pipe.close()  # so that the end of a worker ends the wait for it
        try:
            yield list(ours)
            for pipe in ours:
                pipe.send(None)
        finally:
            for process in started:
                process.join(timeout=30)
                process.kill()


def _step_of_all(workers: Sequence[Connection], command: tuple[str, str]) -> None:
    for worker in workers:
        worker.send(command)
    for worker in workers:
        worker.recv()


def _work(rank: int, processes: int, kinds: Sequence[str], store: str, pipe: Connection) -> None:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=processes)
    steps = {kind: _Steps(kind, _IMAGES // processes) for kind in kinds}
    while (command := pipe.recv()) is not None:
        task, kind = command
        getattr(steps[kind], task)()
        pipe.send(None)
    distributed.destroy_process_group()


class _Steps:
    """One network and this process's share of the images."""

    def __init__(self, kind: str, images: int) -> None:
        torch.manual_seed(0)
        self.net = build_subject(_NET, kind)
        alone = distributed.get_world_size() == 1
        self.shared = self.net if alone else DistributedDataParallel(self.net)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=1e-4, momentum=0.9)
        self.images, self.labels = torch.randn(images, 3, _SIDE, _SIDE), torch.arange(images) % 10

    def training(self) -> None:
        F.cross_entropy(self.shared.train()(self.images), self.labels).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    @torch.no_grad()
    def validation(self) -> None:
        correct = (self.net.eval()(self.images).argmax(1) == self.labels).sum()
        distributed.all_reduce(correct)
