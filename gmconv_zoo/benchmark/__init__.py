"""Time and memory of masked networks beside their standard twins and beside other adaptive convolutions."""

from .record import run_benchmark
from .settings import BenchmarkSettings

__all__ = ["BenchmarkSettings", "run_benchmark"]
