"""The epoch loop: optimizer steps on accelerate, a progress bar, callbacks, and a stop where numbers go bad."""

import logging
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from timm.scheduler.scheduler import Scheduler
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from ..extras import needs_extra
from ..sigmas import clip_sigma_grad
from .accumulation import UpdateParts
from .freeze import set_train_mode
from .nonfinite import NonFiniteError, first_nonfinite, nonfinite_message, nonfinite_output
from .optim import TrainSettings
from .rng import set_rng_state

with needs_extra("train"):
    from accelerate import Accelerator, skip_first_batches
    from timm.utils import ModelEmaV3
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

__all__ = ["BatchCallback", "BatchLoss", "EpochCallback", "TrainState", "UpdateCallback", "run_epochs"]

# The mean loss of a batch, and how many samples it is the mean of.
BatchLoss = Callable[[nn.Module, Any], tuple[Tensor, int]]


@dataclass
class TrainState:
    """What a run consists of, and all that it needs to go on after an interruption.

    Attributes:
        model, optimizer: as the accelerator has prepared them, perhaps wrapped.
        batch_loss: computes the loss of a batch, in the accelerator's mixed precision.
        epoch, step: epochs finished, and optimizer updates done.
        stop: a callback sets it to end the run after the present epoch.
        ema: running average of the weights, if there is one.
        batch: batches done in the present epoch, on each process.
        epoch_lr: learning rate at the present epoch's start.
        totals: (2,) float64, this process's sum of losses and count of samples in the present epoch.
        rows: of the epochs finished, filled in by whoever records them.
        rng: set on resuming: `rng_state` to continue from.
    """

    accelerator: Accelerator
    model: nn.Module
    optimizer: Optimizer
    scheduler: Scheduler
    settings: TrainSettings
    batch_loss: BatchLoss
    epoch: int = 0
    step: int = 0
    stop: bool = False
    ema: ModelEmaV3 | None = None
    batch: int = 0
    epoch_lr: float = 0.0
    totals: Tensor = field(default_factory=lambda: torch.zeros(2, dtype=torch.float64))
    rows: list[dict[str, Any]] = field(default_factory=list)
    rng: dict[str, Any] | None = None

    @property
    def network(self) -> nn.Module:
        """The network without the wrappers of accelerate and torch.compile."""
        return self.accelerator.unwrap_model(self.model, keep_torch_compile=False)

    @property
    def result(self) -> nn.Module:
        """The network that the run ends with: the running average of the weights, where one is kept."""
        return self.network if self.ema is None else self.ema.module


# Called after every epoch with the state and the epoch's row, to which it may add columns.
EpochCallback = Callable[[TrainState, dict[str, Any]], None]
# A function of the state and a batch from the loader.
BatchCallback = Callable[[TrainState, Any], None]
# Called after every optimizer update, with whether it is the last one of its epoch.
UpdateCallback = Callable[[TrainState, bool], None]


def run_epochs(
    state: TrainState,
    loader: DataLoader[Any],
    *,
    callbacks: Sequence[EpochCallback] = (),
    on_first_batch: BatchCallback | None = None,
    after_update: UpdateCallback | None = None,
    progress: bool = True,
) -> None:
    """Train from ``state.epoch`` and ``state.batch`` on until all epochs are done or a callback stops the run.

    Args:
        loader: training loader, prepared by the accelerator.
        callbacks: functions called after every epoch, in order, with a row that starts with "epoch" (counted from 1),
            "step", "lr" (at the start of the epoch), "train_loss" (the mean over samples), "seconds", and
            "data_seconds", the time of these spent on waiting for batches. Both times are those of the main process,
            and in an epoch that was interrupted they count from the interruption.
        on_first_batch: function called with the first batch of every epoch, before the network sees it.
        after_update: a run that goes on from the last update of an epoch begins with ``callbacks`` instead.

    Raises:
        NonFiniteError: for a loss or gradient that is not finite, or parameters that are not finite after an epoch. No
            callback of that epoch has run then, so checkpoints are from before it.
    """
    epochs = state.settings.epochs
    bar = _bar(len(loader), state, shown=progress and state.accelerator.is_main_process)
    with bar, logging_redirect_tqdm([] if bar.disable else _console_loggers()):
        while state.epoch < epochs and not state.stop:
            bar.set_description(f"epoch {state.epoch + 1}/{epochs}")
            started = time.perf_counter()
            set_train_mode(state.model, freeze_statistics=state.settings.freeze_statistics)
            if not state.batch:
                state.epoch_lr = _learning_rate(state.optimizer)
            train_loss, waited = _run_epoch(state, loader, on_first_batch, after_update, bar)
            if first_nonfinite(dict(state.network.named_parameters())):
                raise NonFiniteError(nonfinite_message(state.network, "a parameter went bad", state.step))
            state.epoch, state.batch = state.epoch + 1, 0
            state.totals.zero_()
            row = {
                "epoch": state.epoch,
                "step": state.step,
                "lr": state.epoch_lr,
                "train_loss": train_loss,
                "seconds": time.perf_counter() - started,
                "data_seconds": waited,
            }
            for callback in callbacks:
                callback(state, row)


def _run_epoch(
    state: TrainState,
    loader: DataLoader[Any],
    on_first_batch: BatchCallback | None,
    after_update: UpdateCallback | None,
    bar: tqdm,
) -> tuple[float, float]:
    """One pass, or what is left of it: the mean loss over the samples of all processes, and seconds without a batch."""
    loader.set_epoch(state.epoch)  # type: ignore[attr-defined]
    batches, parts = len(loader), UpdateParts(state.accelerator, loader)
    left: Any = () if state.batch == batches else loader
    if 0 < state.batch < batches:
        left = skip_first_batches(loader, state.batch)
    else:
        _restore_rng(state)  # saved between two epochs: before the loader draws its seed for this one
    left, waited = iter(left), 0.0
    while True:
        began = time.perf_counter()
        batch = next(left, None)
        waited += time.perf_counter() - began
        if batch is None:
            break
        _restore_rng(state)  # saved within an epoch: after that draw
        if not state.batch and on_first_batch is not None:
            on_first_batch(state, batch)
        steps = state.step
        loss, samples = _update(state, batch, parts, last=state.batch + 1 == batches)
        state.totals += torch.tensor([loss * samples, samples], dtype=torch.float64)
        state.batch += 1
        if state.step > steps:
            if state.ema is not None:
                state.ema.update(state.network, step=state.step)
            if after_update is not None:
                after_update(state, state.batch == batches)
        bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        bar.update()
    total = state.totals
    if state.accelerator.num_processes > 1:  # alone it stays on the CPU: not every device has float64
        total = state.accelerator.reduce(total.to(state.accelerator.device), reduction="sum")
    return (total[0] / total[1]).item(), waited


def _restore_rng(state: TrainState) -> None:
    if state.rng is not None:
        set_rng_state(state.rng)
        state.rng = None


def _update(state: TrainState, batch: Any, parts: UpdateParts, *, last: bool) -> tuple[float, int]:
    """Forward, backward and, where gradients are not still accumulating, one optimizer step."""
    accelerator = state.accelerator
    batch, counts = parts.own(batch, last=last)
    with accelerator.accumulate(state.model):
        with accelerator.autocast():
            loss, samples = state.batch_loss(state.model, batch)
        value = loss.item()
        if not math.isfinite(value):
            raise _broken(state, batch, f"the loss is {value}")
        samples *= counts
        accelerator.backward(loss * parts.weight(samples, last=last))
        if accelerator.sync_gradients:
            parts.finish(state.model.parameters())
            _clip(state, batch)
        state.optimizer.step()
        state.optimizer.zero_grad()
        if accelerator.sync_gradients:
            state.step += 1
            state.scheduler.step_update(state.step)
    return value, samples


def _clip(state: TrainState, batch: Any) -> None:
    """Clip the gradients of the sigma modules, then those of the whole network."""
    accelerator, settings = state.accelerator, state.settings
    if settings.clip_sigma is not None or settings.clip_grad is not None:
        accelerator.unscale_gradients()
    if settings.clip_sigma is not None:
        clip_sigma_grad(state.network, settings.clip_sigma)
    if settings.clip_grad is not None:
        norm = float(clip_grad_norm_(state.network.parameters(), settings.clip_grad))
        if accelerator.scaler is None and not math.isfinite(norm):
            raise _broken(state, batch, f"the norm of the gradients is {norm}")


def _broken(state: TrainState, batch: Any, symptom: str) -> NonFiniteError:
    """The error that names where it comes from, seen by computing the batch once more, without clipping or scaling."""
    state.optimizer.zero_grad()
    with state.accelerator.autocast():
        output = nonfinite_output(state.network, lambda: state.batch_loss(state.network, batch))
        loss, _ = state.batch_loss(state.network, batch)
    loss.backward()
    return NonFiniteError(nonfinite_message(state.network, symptom, state.step + 1, output))


def _learning_rate(optimizer: Optimizer) -> float:
    """Return that of the first group, which is never the sigmas' where anything else is trained, of the last layer."""
    group = optimizer.param_groups[0]
    return group["lr"] / group.get("lr_scale", 1.0)


def _console_loggers() -> list[logging.Logger]:
    """Return the root logger if it writes to the console, where its lines would disturb the progress bar."""
    streams = {getattr(handler, "stream", None) for handler in logging.root.handlers}
    return [logging.root] if streams & {sys.stdout, sys.stderr} else []


def _bar(batches: int, state: TrainState, *, shown: bool) -> tqdm:
    interval = 0.2 if sys.stderr.isatty() else 10.0  # a log file needs no redrawing
    total, done = batches * state.settings.epochs, batches * state.epoch + state.batch
    return tqdm(total=total, initial=done, disable=not shown, mininterval=interval, unit="step", dynamic_ncols=True)
