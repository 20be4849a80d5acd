"""One comparison: a standard network and its twins under one task, batch and memory format."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .clock import time_together
from .memory import peak_bytes
from .plans import FORMATS, BenchmarkSettings
from .subjects import build_subject

__all__ = ["compare", "measure"]


def compare(settings: BenchmarkSettings, net: str, task: str, batch: int, memory_format: str) -> list[dict[str, Any]]:
    """Time every kind of a network in turn and take its peak memory, with one row per kind as `measure` gives them."""
    size = settings.image_size or (32 if net.startswith("cifar") else 224)
    x = torch.randn(batch, 3, size, size, device=settings.device).contiguous(memory_format=FORMATS[memory_format])
    models = {}
    for kind in settings.compared:
        torch.manual_seed(0)
        models[kind] = build_subject(net, kind, stem_only=settings.stem_only)
    common = {"net": net, "task": task, "batch": batch, "image_size": size, "memory_format": memory_format}
    return [{**common, **row} for row in measure(models, x, task, settings, memory_format)]


def measure(
    models: Mapping[str, nn.Module],
    x: Tensor,
    task: str,
    settings: BenchmarkSettings,
    memory_format: str = "contiguous",
) -> list[dict[str, Any]]:
    """Time some models on one input (B, 3, H, W) in turn and take their peak memory, with one row per model.

    The models are given by kind, the one to compare with first; the memory format is that of their kernels.
    """
    device = torch.device(settings.device)
    steps, held = {}, {}
    for kind, model in models.items():
        model = model.train(task == "training").to(device, memory_format=FORMATS[memory_format])  # type: ignore[call-overload]
        runs = torch.compile(model) if settings.compile else model
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
        steps[kind] = _step(task, runs, x, optimizer, settings)
        held[kind] = (model, x, optimizer)
    clock = time.process_time if settings.busy else time.perf_counter
    rounds = {"seconds": settings.seconds, "min_rounds": settings.rounds, "warmup": 3 if settings.compile else 1}
    timings = time_together(steps, device, clock=clock, **rounds)  # type: ignore[arg-type]
    peaks = {kind: peak_bytes(step, _tensors(*held[kind]), device) for kind, step in steps.items()}
    reference = peaks[next(iter(peaks))]
    return [
        {
            "kind": kind,
            **timings[kind],
            "peak_mib": round(peaks[kind] / 2**20, 2),
            "memory_ratio": round(peaks[kind] / reference, 4),
        }
        for kind in models
    ]


def _step(
    task: str,
    runs: Callable[[Tensor], Tensor],
    x: Tensor,
    optimizer: torch.optim.Optimizer,
    settings: BenchmarkSettings,
) -> Callable[[], object]:
    def inference() -> Tensor:
        with torch.no_grad(), _precision(settings):
            return runs(x)

    def layer() -> None:  # gradients for its parameters, none for its input
        with _precision(settings):
            out = runs(x)
        out.backward(upstream)
        optimizer.zero_grad()

    def network() -> None:
        with _precision(settings):
            loss = F.cross_entropy(runs(x).float(), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    if task == "inference":
        return inference
    if settings.stem_only:
        upstream = torch.ones_like(inference())
        return layer
    labels = torch.arange(len(x), device=x.device) % 10
    return network


def _precision(settings: BenchmarkSettings) -> AbstractContextManager[object]:
    return nullcontext() if settings.precision == "float32" else torch.autocast(settings.device, torch.bfloat16)


def _tensors(model: nn.Module, x: Tensor, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """What is alive before a step: gradients are not, they are released at a step's end."""
    state = [value for values in optimizer.state.values() for value in values.values() if isinstance(value, Tensor)]
    return [*model.parameters(), *model.buffers(), x, *state]
