"""What a benchmark measures: sets of measurements, and those that the recorded tables are made of, by name."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from gmconv_zoo.device import usable_device
from gmconv_zoo.layers import FORMS

from .subjects import STANDARD

__all__ = ["CUDA_PLANS", "FORMATS", "PLANS", "PRECISIONS", "TASKS", "BenchmarkSettings", "planned"]

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
        image_size: side in pixels; None for the net's own.
        precision: "float32", or "bf16" by autocast.
        stem_only: time the stem layer alone, without a gradient for its input.
        seconds: for every comparison; there are at least `rounds` rounds whatever they take.
        busy: take the processor's time rather than the clock's, on a machine that does other work too.
    """

    nets: tuple[str, ...]
    kinds: tuple[str, ...]
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
        if self.device != "cpu":
            usable_device(self.device)
        if self.busy and (self.device != "cpu" or torch.get_num_threads() > 1):
            raise ValueError("busy=True: the processor's time is that of all threads; use the CPU and one thread.")

    @property
    def compared(self) -> tuple[str, ...]:
        """The kinds to time, the standard network first."""
        return (STANDARD, *(kind for kind in self.kinds if kind != STANDARD))


_IMAGENET = ("resnet18", "mobilenetv2", "alexnet", "resnet50")
_STEMS, _CIFAR, _RESNET = ("mobilenetv2", "resnet18", "alexnet"), ("cifar_resnet20",), ("resnet18",)
_MASKED, _TRAINED = ("sgmconv", "sgmconv fused", "gmconv"), ("sgmconv", "gmconv")
_FORMS = tuple(f"gmconv {form}" for form in FORMS)
_SIZES = (2, 8, 32)
_PEERS = ("condconv stem", "deformable stem")
_STEM_KINDS = (*_TRAINED, *_FORMS, "condconv stem")
_LAST = ("channels_last",)
_INFERENCE, _TRAINING = TASKS[:1], TASKS[1:]

PLANS: dict[str, tuple[BenchmarkSettings, ...]] = {
    "stem": (BenchmarkSettings(_STEMS, _STEM_KINDS, batches=_SIZES, stem_only=True, seconds=10.0, rounds=7),),
    "cifar": (BenchmarkSettings(_CIFAR, (*_TRAINED, *_FORMS, *_PEERS), batches=(128,), seconds=20.0, rounds=11),),
    "networks": (
        BenchmarkSettings(_IMAGENET, _MASKED, _INFERENCE, _SIZES, seconds=15.0, rounds=15),
        BenchmarkSettings(_IMAGENET, _MASKED, _TRAINING, _SIZES, seconds=20.0, rounds=15),
    ),
    "convnext": tuple(
        BenchmarkSettings(("convnext_atto",), _MASKED, tasks, (8, 32), seconds=20.0, rounds=7)
        for tasks in (_INFERENCE, _TRAINING)
    ),
    "peers": (BenchmarkSettings(_RESNET, ("gmconv", *_PEERS), batches=(8,), seconds=30.0, rounds=7),),
    "compiled": (
        BenchmarkSettings(_RESNET, _TRAINED, batches=(8,), formats=_LAST, compile=True, seconds=30.0, rounds=15),
    ),
    "single": (BenchmarkSettings((*_IMAGENET, *_CIFAR), _MASKED, _INFERENCE, (1,), seconds=3.0, rounds=9),),
}

# On a CUDA device: events time a call to the microsecond, so that a few seconds say as much as a minute on a CPU.
CUDA_PLANS: dict[str, tuple[BenchmarkSettings, ...]] = {
    "stem": (
        BenchmarkSettings(_STEMS, (*_TRAINED, "condconv stem"), batches=(8, 32), stem_only=True, seconds=0.4, rounds=7),
    ),
    "cifar": (BenchmarkSettings(_CIFAR, (*_TRAINED, *_PEERS), batches=(128,), seconds=1.25, rounds=7),),
    "networks": tuple(
        BenchmarkSettings((*_IMAGENET, "convnext_atto"), _MASKED, tasks, (batch,), formats, seconds=1.5, rounds=7)
        for batch, formats in ((32, tuple(FORMATS)), (128, _LAST))
        for tasks in (_INFERENCE, _TRAINING)
    ),
    "compiled": (BenchmarkSettings(_RESNET, _TRAINED, formats=_LAST, compile=True, seconds=1.5, rounds=7),),
}


def planned(
    names: Iterable[str] = (), *, device: str = "cpu", precision: str = "float32", busy: bool = False
) -> list[BenchmarkSettings]:
    """Return the settings of some of `PLANS`, on a CUDA device of `CUDA_PLANS`; of all of them without a name."""
    plans = CUDA_PLANS if device == "cuda" else PLANS
    names = tuple(names) or tuple(plans)
    if set(names) - set(plans):
        raise ValueError(f"plans={names!r} on {device}: pass some of {tuple(plans)} (--plan).")
    parts = [settings for name in names for settings in plans[name]]
    return [replace(part, device=device, precision=precision, busy=busy) for part in parts]
