"""What a task brings to a training, and how a training is carried out whatever its task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

from .evaluate import Evaluator
from .loop import BatchLoss, EpochCallback

__all__ = ["FitOptions", "Task"]


@dataclass(frozen=True)
class Task:
    """What is trained for: a task brings these, and the engine everything else.

    Attributes:
        batch_loss: computes the loss of a batch.
        evaluator: makes the counter of one evaluation, whose result is a dictionary of numbers.
        metric: the one of these numbers by which epochs are compared; the first largest is the best.
        describe: says in a few words what an epoch's row holds of the evaluation.
        on_best: receives the evaluator of every epoch that is the best so far, in every process.
        draw: draws the rows into a picture; None for no picture.
        callbacks: run after each epoch, before its row is recorded.
        closing_callbacks: run after each epoch, once it is recorded and its checkpoint is written.
    """

    batch_loss: BatchLoss
    evaluator: Callable[[], Evaluator]
    metric: str
    describe: Callable[[dict[str, Any]], str]
    on_best: Callable[[Any], None] = lambda evaluator: None
    draw: Callable[[Sequence[dict[str, Any]], Path], Any] | None = None
    callbacks: tuple[EpochCallback, ...] = ()
    closing_callbacks: tuple[EpochCallback, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How a run is carried out, whatever it trains.

    Attributes:
        output: folder for summary.csv, results.json and curves.png, created if missing; None to write nothing.
        seed: seed of everything random, except the loaders if they are given; 0 to 2**32 - 1.
        checkpoints: whether to write checkpoints to ``output`` / "checkpoints": the last one, and the best one.
        resume: continue from the last checkpoint in the output folder, if there is one. Without it, a folder that has a
            checkpoint is refused.
        overwrite: replace an earlier run or network in the output folder; files of other names stay.
        save_every: also write the last checkpoint after this many updates within an epoch; None for epochs only.
        val_every: evaluate only after every so many epochs, and after the last one.
        end_with_best: the network ends with the best epoch's weights, not the last one's.
        channels_last: keep images and kernels in this memory format, which is faster on most devices.
        progress: whether to show a progress bar.
    """

    output: str | Path | None = None
    seed: int = 0
    checkpoints: bool = False
    resume: bool = False
    overwrite: bool = False
    save_every: int | None = None
    val_every: int = 1
    end_with_best: bool = False
    channels_last: bool = True
    progress: bool = True

    def __post_init__(self) -> None:
        if not (isinstance(self.seed, Integral) and 0 <= self.seed < 2**32):
            raise ValueError(f"seed={self.seed!r}: pass a whole number from 0 to {2**32 - 1} (--seed).")
        if self.val_every < 1:
            raise ValueError(f"val_every={self.val_every}: pass at least 1 epoch (--val-every).")
        if self.save_every is not None and self.save_every < 1:
            raise ValueError(f"save_every={self.save_every}: pass at least 1 update, or None (--save-every).")
        if self.end_with_best and not self.checkpoints:
            raise ValueError("end_with_best=True takes the weights of the best checkpoint: pass checkpoints=True.")
