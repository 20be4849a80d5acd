"""Peak memory of a call: what torch's allocator held at the worst moment, exact and repeatable."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

__all__ = ["peak_bytes"]


def peak_bytes(function: Callable[[], object], held: Iterable[Tensor], device: torch.device) -> int:
    """Return the largest number of bytes that torch held while a function ran once, which has been run before.

    On the CPU the profiler counts every allocation and release of torch's allocator, which the libraries below it
    (oneDNN's scratch memory) do not all use; on CUDA the caching allocator counts itself. ``held`` are the tensors
    alive before and after the call, which are included: parameters, gradients, buffers, inputs.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        function()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device)
    storages = {storage.data_ptr(): storage.nbytes() for storage in (tensor.untyped_storage() for tensor in held)}
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        function()
    assert recorded.profiler is not None
    events = recorded.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    now = worst = 0
    for _, change in changes:
        now += change
        worst = max(worst, now)
    return sum(storages.values()) + worst
