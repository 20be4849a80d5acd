"""Time and memory of masked networks beside their standard twins and beside other adaptive convolutions."""

from .record import run_benchmark
from .scaling import run_scaling
from .settings import BenchmarkSettings

__all__ = ["BenchmarkSettings", "run_benchmark", "run_scaling"]
