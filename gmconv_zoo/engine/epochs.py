"""What happens after every epoch: evaluation, records with curves, and an early stop."""

import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader

from ..extras import needs_extra
from ..files.records import SUMMARY_NAME, write_rows
from .evaluate import evaluate
from .loop import TrainState
from .task import FitOptions, Task

with needs_extra("train"):
    from accelerate.utils import broadcast

__all__ = ["CURVES_NAME", "Recording", "Validation", "best_row", "is_best", "share", "stop_if_late"]

_logger = logging.getLogger(__name__)

CURVES_NAME = "curves.png"
_SECONDS_BETWEEN_CURVES = 10.0


def best_row(rows: Sequence[dict[str, Any]], metric: str) -> dict[str, Any]:
    """The first of the rows with the largest value of a metric of the validation set."""
    column = f"val_{metric}"
    return max((row for row in rows if column in row), key=lambda row: row[column])


def is_best(earlier: Sequence[dict[str, Any]], row: dict[str, Any], column: str) -> bool:
    """Tell whether a row has a larger value in a column than all rows before it."""
    return column in row and row[column] > max((other[column] for other in earlier if column in other), default=-1.0)


class Validation:
    """An epoch callback that evaluates the network, or the running average of its weights, and adds to the row."""

    def __init__(self, task: Task, loader: DataLoader[Any], options: FitOptions) -> None:
        self.task, self.loader, self.options = task, loader, options

    def __call__(self, state: TrainState, row: dict[str, Any]) -> None:
        if state.epoch % self.options.val_every and state.epoch < state.settings.epochs:
            return
        evaluator = self.task.evaluator()
        with state.accelerator.autocast():
            net = state.model if state.ema is None else state.ema.module
            if state.ema is not None:  # batch norm's statistics are of each process's own images
                share(net.buffers())
            found = evaluate(
                net, self.loader, evaluator, accelerator=state.accelerator, channels_last=self.options.channels_last
            )
        row.update({f"val_{key}": value for key, value in found.items()})
        if is_best(state.rows, row, f"val_{self.task.metric}"):
            self.task.on_best(evaluator)


class Recording:
    """An epoch callback that records the row, logs it, and draws the curves every few seconds if there is a folder."""

    def __init__(self, task: Task, folder: Path | None) -> None:
        self.task, self.folder, self.drawn = task, folder, time.monotonic()

    def __call__(self, state: TrainState, row: dict[str, Any]) -> None:
        state.rows.append(dict(row))
        where = ""
        if self.folder is not None:
            write_rows(self.folder / SUMMARY_NAME, state.rows)
            curves = self.folder / CURVES_NAME
            late = time.monotonic() - self.drawn > _SECONDS_BETWEEN_CURVES
            evaluated = any(f"val_{self.task.metric}" in earlier for earlier in state.rows)
            if self.task.draw is not None and late and evaluated:
                self.task.draw(state.rows, curves)
                self.drawn = time.monotonic()
            where = f"; curves: {curves}" if curves.exists() else ""
        said = self.task.describe(row)
        epoch = f"epoch {row['epoch']}/{state.settings.epochs}"
        _logger.info("%s: train_loss %.4f%s%s", epoch, row["train_loss"], f", {said}" if said else "", where)


def stop_if_late(state: TrainState, metric: str) -> None:
    """Stop a run after as many epochs without a new best as its settings have patience, by the rows alone."""
    row, patience = state.rows[-1], state.settings.patience
    if patience is not None and f"val_{metric}" in row:
        state.stop = state.stop or row["epoch"] - best_row(state.rows, metric)["epoch"] >= patience


def share(tensors: Iterable[Tensor]) -> None:
    """Give every process the main one's values."""
    for tensor in tensors:
        tensor.copy_(broadcast(tensor.contiguous()))  # not every backend sends channels_last
