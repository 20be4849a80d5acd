"""Timing of several functions side by side: round after round, so that a busy machine slows all of them alike."""

import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

__all__ = ["time_together"]

# What takes more than this many times as long as the first function is timed in every other round only.
SLOW = 2.0
# What takes fewer milliseconds than this is called once untimed before it is timed, with its own data in the caches.
SHORT = 100.0
_MOST_ROUNDS = 200


def time_together(
    functions: Mapping[str, Callable[[], object]],
    device: torch.device,
    *,
    seconds: float,
    min_rounds: int = 3,
    warmup: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, dict[str, Any]]:
    """Time functions in turn, one call each per round, in an order drawn anew every round.

    Args:
        functions: name -> what to call; the first is what the others are compared with.
        device: where they compute: calls are timed by events on CUDA and by the clock elsewhere.
        seconds: rounds go on for this long, but there are at least ``min_rounds`` and at most 200.
        warmup: untimed calls of each before the first round, at least one.
        clock: seconds that have gone; `time.process_time` leaves out what other processes take.

    Returns:
        name -> JSON-ready values with four decimals: "milliseconds" (median of one call) and "quartiles_ms"; "ratio"
        (median over the rounds of the first function's time / this one's: 1 is as fast, above 1 faster) and
        "ratio_quartiles"; "best_ratio" (the first function's fastest call / this one's, less disturbed by other work on
        the machine, which only ever makes calls slower); and "rounds", the number of calls timed.
    """
    reference = next(iter(functions))
    for function in functions.values():
        for _ in range(warmup - 1):
            function()
    first = {name: _milliseconds(function, device, clock) for name, function in functions.items()}
    slow = {name for name in functions if first[name] > SLOW * first[reference]}
    times: dict[str, list[float]] = {name: [] for name in functions}
    ratios: dict[str, list[float]] = {name: [] for name in functions}
    shuffled = random.Random(0)
    started = time.perf_counter()
    for number in range(_MOST_ROUNDS):
        if number >= min_rounds and time.perf_counter() - started > seconds:
            break
        names = [name for name in functions if name not in slow or number % 2 == 0]
        shuffled.shuffle(names)  # what follows a large allocation finds other memory than what precedes it
        row = {}
        for name in names:
            if first[name] < SHORT:
                functions[name]()
            row[name] = _milliseconds(functions[name], device, clock)
        for name, value in row.items():
            times[name].append(value)
            ratios[name].append(row[reference] / value)
    return {
        name: {
            "milliseconds": round(statistics.median(times[name]), 4),
            "quartiles_ms": _quartiles(times[name]),
            "ratio": round(statistics.median(ratios[name]), 4),
            "ratio_quartiles": _quartiles(ratios[name]),
            "best_ratio": round(min(times[reference]) / min(times[name]), 4),
            "rounds": len(times[name]),
        }
        for name in functions
    }


def _milliseconds(function: Callable[[], object], device: torch.device, clock: Callable[[], float]) -> float:
    if device.type != "cuda":
        start = clock()
        function()
        return (clock() - start) * 1e3
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    begin.record()
    function()
    end.record()
    torch.cuda.synchronize(device)
    return begin.elapsed_time(end)


def _quartiles(values: list[float]) -> list[float]:
    first, _, third = statistics.quantiles(values * 2 if len(values) == 1 else values, n=4, method="inclusive")
    return [round(first, 4), round(third, 4)]
