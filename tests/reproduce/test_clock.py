"""The clock and the memory count against costs that are known."""

import pytest
import torch

from reproduce.benchmark.clock import time_together
from reproduce.benchmark.memory import peak_bytes

CPU = torch.device("cpu")


def fake(costs: dict[str, list[float]]):
    """Functions that take the seconds given, call after call, of a clock that only they move."""
    now, calls = [0.0], []

    def function(name: str):
        def run() -> None:
            calls.append(name)
            values = costs[name]
            now[0] += values[min(calls.count(name) - 1, len(values) - 1)]

        return run

    return {name: function(name) for name in costs}, (lambda: now[0]), calls


def test_speed_is_the_first_functions_time_over_the_others():
    functions, clock, _ = fake({"standard": [2.0], "twice as fast": [1.0], "half as fast": [4.0]})
    timings = time_together(functions, CPU, seconds=0, min_rounds=4, clock=clock)
    assert [timing["ratio"] for timing in timings.values()] == [1.0, 2.0, 0.5]
    assert [timing["milliseconds"] for timing in timings.values()] == [2000.0, 1000.0, 4000.0]


def test_quartiles_show_the_spread_and_the_median_ignores_an_outlier_and_the_warm_up():
    functions, clock, _ = fake({"standard": [50.0, 1.0], "other": [70.0, 1.0, 1.0, 1.0, 9.0, 2.0]})
    timing = time_together(functions, CPU, seconds=0, min_rounds=5, clock=clock)["other"]
    assert timing["milliseconds"] == 1000.0
    assert timing["quartiles_ms"] == [1000.0, 2000.0]
    assert timing["ratio_quartiles"] == [0.5, 1.0]


def test_functions_are_called_in_turn_and_slow_ones_less_often():
    functions, clock, calls = fake({"standard": [1.0], "other": [1.5], "slow": [3.0]})
    timings = time_together(functions, CPU, seconds=0, min_rounds=4, clock=clock)
    assert {name: timing["rounds"] for name, timing in timings.items()} == {"standard": 4, "other": 4, "slow": 2}
    rounds = [calls[3:6], calls[6:8], calls[8:11], calls[11:13]]
    assert all(len(set(names)) == len(names) for names in rounds)
    assert len({tuple(names) for names in rounds}) > 1


def test_peak_memory_is_exact():
    held = torch.zeros(256)

    def allocate() -> torch.Tensor:
        first = torch.empty(1000, dtype=torch.uint8)
        del first
        second, third = torch.empty(3000, dtype=torch.uint8), torch.empty(500, dtype=torch.uint8)
        return second[:1] + third[:1]

    allocate()  # a storage with several names counts once
    assert peak_bytes(allocate, [held, held[2:], held.view(2, 128)], CPU) == pytest.approx(1024 + 3500, abs=70)
