"""Timing of several functions side by side: round after round, so that a busy machine slows all of them alike."""

import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

__all__ = ["Timing", "time_together"]

# What takes more than this many times as long as the first function is timed in every other round only.
SLOW = 2.0
# What takes fewer milliseconds than this is called once untimed before it is timed, with its own data in the caches.
SHORT = 100.0


@dataclass(frozen=True)
class Timing:
    """Times of one function and its speed relative to the first one timed with it.

    Attributes:
        milliseconds: median of one call.
        quartiles_ms: first and third quartile.
        ratio: median over the rounds of the first function's time / this one's; 1 is as fast, above 1 faster.
        ratio_quartiles: first and third quartile of the same.
        best_ratio: the first function's fastest call / this one's fastest: less disturbed by other work on the machine,
            which only ever makes calls slower.
        rounds: number of calls timed.
    """

    milliseconds: float
    quartiles_ms: tuple[float, float]
    ratio: float
    ratio_quartiles: tuple[float, float]
    best_ratio: float
    rounds: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields, times and ratios with four decimals."""
        return {
            name: [round(number, 4) for number in value] if isinstance(value, tuple) else round(value, 4)
            for name, value in asdict(self).items()
        }


def time_together(
    functions: Mapping[str, Callable[[], object]],
    device: torch.device,
    *,
    seconds: float,
    min_rounds: int = 3,
    max_rounds: int = 200,
    warmup: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Time functions in turn, one call each per round, in an order drawn anew every round.

    Args:
        functions: name -> what to call; the first is what the others are compared with. At least one.
        device: where they compute: calls are timed by events on CUDA and by the clock elsewhere.
        seconds: rounds go on for this long, but there are at least ``min_rounds`` and at most ``max_rounds``.
        warmup: untimed calls of each before the first round, at least one.
        clock: seconds that have gone; `time.process_time` leaves out what other processes take.
    """
    reference = next(iter(functions))
    for function in functions.values():
        for _ in range(max(warmup - 1, 0)):
            function()
    first = {name: _milliseconds(function, device, clock) for name, function in functions.items()}
    slow = {name for name in functions if first[name] > SLOW * first[reference]}
    times: dict[str, list[float]] = {name: [] for name in functions}
    ratios: dict[str, list[float]] = {name: [] for name in functions}
    shuffled = random.Random(0)
    started = time.perf_counter()
    for number in range(max_rounds):
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
        name: Timing(
            statistics.median(times[name]),
            _quartiles(times[name]),
            statistics.median(ratios[name]),
            _quartiles(ratios[name]),
            min(times[reference]) / min(times[name]),
            len(times[name]),
        )
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


def _quartiles(values: list[float]) -> tuple[float, float]:
    if len(values) == 1:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third
