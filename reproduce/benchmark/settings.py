"""What a benchmark is asked to measure, checked before anything is built."""

from dataclasses import dataclass, fields

import torch

from .subjects import KINDS, NETS, STANDARD

__all__ = ["FORMATS", "PRECISIONS", "TASKS", "BenchmarkSettings"]

TASKS = ("inference", "training")
PRECISIONS = ("float32", "bf16")
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass(frozen=True)
class BenchmarkSettings:
    """One set of measurements: every net under every task, batch and memory format.

    Attributes:
        nets: some of `NETS`.
        kinds: some of `KINDS` to compare with the standard network, which is always there.
        tasks: "inference", "training" (forward, backward and an SGD step) or both.
        batches: images per call.
        formats: "contiguous", "channels_last" or both.
        image_size: side in pixels; None for the net's own.
        precision: "float32", or "bf16" by autocast.
        device: as for `torch.device`.
        compile: time `torch.compile`d networks.
        stem_only: time the stem layer alone, without a gradient for its input.
        seconds: for every comparison; there are at least `rounds` rounds whatever they take.
        rounds: the least number of rounds.
        busy: take the processor's time rather than the clock's, for a machine that does other work too; right with
            one thread only.

    Raises:
        ValueError: for a value outside these.
    """

    nets: tuple[str, ...] = ("resnet18",)
    kinds: tuple[str, ...] = KINDS
    tasks: tuple[str, ...] = TASKS
    batches: tuple[int, ...] = (32,)
    formats: tuple[str, ...] = tuple(FORMATS)
    image_size: int | None = None
    precision: str = "float32"
    device: str = "cpu"
    compile: bool = False
    stem_only: bool = False
    seconds: float = 5.0
    rounds: int = 3
    busy: bool = False

    def __post_init__(self) -> None:
        allowed = {"nets": NETS, "kinds": KINDS, "tasks": TASKS, "formats": tuple(FORMATS)}
        for name, values in allowed.items():
            asked = getattr(self, name)
            if not asked or set(asked) - set(values):
                raise ValueError(f"{name}={asked!r}: pass some of {values}.")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision={self.precision!r}: pass one of {PRECISIONS}.")
        sizes = [*self.batches, self.rounds, *([] if self.image_size is None else [self.image_size])]
        if not self.batches or min(sizes) < 1:
            raise ValueError(
                f"batches={self.batches!r}, image_size={self.image_size!r}, rounds={self.rounds}: pass numbers above 0."
            )
        if self.seconds < 0:
            raise ValueError(f"seconds={self.seconds}: pass 0 or more.")
        _check_device(self.device)
        if self.busy and (self.device != "cpu" or torch.get_num_threads() > 1):
            raise ValueError("busy=True: the processor's time is that of all threads; use the CPU and one thread.")

    @property
    def compared(self) -> tuple[str, ...]:
        """The kinds to time, the standard network first."""
        return (STANDARD, *(kind for kind in self.kinds if kind != STANDARD))

    def to_dict(self) -> dict[str, object]:
        """JSON-ready fields."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _check_device(name: str) -> None:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device={name!r}: pass 'cpu', or 'cuda' where there is one.") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device={name!r}: pass 'cpu' or 'cuda'; times on other devices are not taken.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device={name!r}: there are {torch.cuda.device_count()} CUDA devices here; pass 'cpu'.")
