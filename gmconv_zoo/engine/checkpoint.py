"""Checkpoints from which a killed run continues to exactly the weights it would have had.

A folder holds at most two files, last.safetensors and best.safetensors, each with everything: weights, their running
average, optimizer, schedule, loss scaler, position in the epoch, random generators and the rows recorded so far.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from ..conversion import fit_sigma_modules
from ..extras import needs_extra
from ..files.state_file import read_state, write_state
from .epochs import is_best
from .loop import TrainState
from .nonfinite import NonFiniteError, first_nonfinite, nonfinite_message
from .rng import rng_state

with needs_extra("train"):
    from accelerate.utils import gather_object

__all__ = ["BEST_NAME", "CHECKPOINTS_FOLDER", "LAST_NAME", "CheckpointError", "Checkpoints", "load_weights"]

_logger = logging.getLogger(__name__)

LAST_NAME, BEST_NAME, CHECKPOINTS_FOLDER = "last.safetensors", "best.safetensors", "checkpoints"
# Parts of a run's identity that checkpoints of version 0.1.0 do not have; they are compared if a checkpoint has them
_NEWER = ("file names (digest)", "validation set", "start", "tag")
# Names of a run's values in checkpoints, where they are not the same with spaces for underscores
_STORED = {
    "labels_digest": "labels (digest)",
    "file_names_digest": "file names (digest)",
    "network_options": "model options",
}
_PROGRESS = ("epoch", "step", "batch", "epoch_lr", "stop")


class CheckpointError(RuntimeError):
    """A checkpoint could not be written. The message says which earlier one is left."""


class Checkpoints:
    """Write the checkpoints of one run as an epoch callback, and continue from them.

    Args:
        folder: created if it does not exist.
        identity: JSON-ready settings of the run; one with others cannot continue from these checkpoints. None, False
            and empty values are the same as nothing.
        every: also write one after so many optimizer updates within an epoch, at least 1; None for epochs only.
        best: column of an epoch's row whose first largest value makes the best checkpoint.
    """

    def __init__(self, folder: str | Path, identity: dict[str, Any], *, every: int | None = None, best: str) -> None:
        self.folder, self.every, self.best = Path(folder), every, best
        self.identity = {_STORED.get(name, name.replace("_", " ")): value for name, value in identity.items()}
        self.folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, state: TrainState, row: dict[str, Any]) -> None:
        """Write last.safetensors, and best.safetensors first where this epoch is the best so far."""
        if is_best(state.rows[:-1], row, self.best):
            self.save(state, BEST_NAME)
        self.save(state, LAST_NAME)

    def after_update(self, state: TrainState, last: bool) -> None:
        """Write last.safetensors where it is time.

        After the last update of an epoch that is until an epoch has been evaluated, which reads images that nothing has
        read yet; then the epoch's own checkpoint follows.
        """
        if last:
            due = not any(self.best in row for row in state.rows)
        else:
            due = self.every is not None and state.step % self.every == 0
        if due:
            self.save(state, LAST_NAME)

    def save(self, state: TrainState, name: str) -> None:
        """Write one checkpoint, in whose making every process takes part; after an error the earlier one stays.

        Raises:
            NonFiniteError: when a weight is not finite.
            CheckpointError: when the file cannot be written.
        """
        processes = gather_object([{"rng": rng_state(), "totals": state.totals.clone()}])
        if not state.accelerator.is_main_process:
            return
        weights = state.network.state_dict()
        if first_nonfinite({key: value for key, value in weights.items() if value.is_floating_point()}):
            raise NonFiniteError(nonfinite_message(state.network, "a weight went bad", state.step))
        scaler = state.accelerator.scaler
        content = {
            "identity": self.identity,
            "progress": {name: getattr(state, name) for name in _PROGRESS},
            "rows": state.rows,
            "model": weights,
            "ema": None if state.ema is None else state.ema.module.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "scheduler": state.scheduler.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "processes": processes,
        }
        path = self.folder / name
        try:
            write_state(path, content)
        except OSError as error:
            kept = f"the earlier {path} is kept" if path.exists() else "there is no earlier checkpoint"
            raise CheckpointError(
                f"{path}, epoch {state.epoch}, cannot be written ({error.strerror or error}); {kept}. Make room or "
                "repair the folder, then start again with resume."
            ) from error

    def resume(self, state: TrainState) -> None:
        """Put a freshly prepared state where the last checkpoint left it, if there is one.

        Raises:
            ValueError: when the checkpoint is of another network or other settings, naming the difference, is
                damaged, or is there for some processes only. Nothing is changed then.
        """
        last, best = self.folder / LAST_NAME, self.folder / BEST_NAME
        # a run that was killed before it had a last one has the best one, which is written first
        path = best if best.is_file() and not last.is_file() else last
        if not _found_by_all(path):
            return
        content = read_state(path)
        self._check_identity(path, content)
        _check_tensors(path, content["model"], state.network)
        state.network.load_state_dict(content["model"])
        if state.ema is not None:
            state.ema.module.load_state_dict(content["ema"])
        _load_optimizer(state.optimizer, content["optimizer"])
        state.scheduler.load_state_dict(content["scheduler"])
        if state.accelerator.scaler is not None and content["scaler"] is not None:
            state.accelerator.scaler.load_state_dict(content["scaler"])
        for key, value in content["progress"].items():
            setattr(state, key, value)
        state.rows[:] = content["rows"]
        self._resume_process(state, content["processes"])
        _logger.info("going on from %s: %d epochs and %d batches done", path, state.epoch, state.batch)

    def _check_identity(self, path: Path, content: dict[str, Any]) -> None:
        there = content.get("identity") or {}
        here = {key: value for key, value in self.identity.items() if key in there or key not in _NEWER}
        differences = _differences(_given(there), _given(here))
        if differences:
            raise ValueError(
                f"{path} is from another run: {'; '.join(differences)}. Start again with the same settings, or choose "
                "another output folder. Nothing was changed."
            )

    def _resume_process(self, state: TrainState, processes: list[dict[str, Any]]) -> None:
        here, now = state.accelerator.process_index, state.accelerator.num_processes
        if len(processes) != now:
            _logger.warning("%d processes instead of %d: equal up to rounding, not exactly", now, len(processes))
            total = sum(process["totals"] for process in processes)
            for process in processes:
                process["totals"] = total / now
        state.totals.copy_(processes[here % len(processes)]["totals"])
        state.rng = processes[here % len(processes)]["rng"]


def load_weights(path: str | Path, model: nn.Module | Callable[[dict[str, Any]], nn.Module]) -> nn.Module:
    """Load the weights of a checkpoint, or their running average if it has one, into the network of the run.

    The network is changed in place; it may be a function that builds it from the run's identity. ValueError for a file
    that is not a checkpoint, or is one of another network.
    """
    content = read_state(path)
    net = model if isinstance(model, nn.Module) else model(content.get("identity") or {})
    weights = content["ema"] or content["model"]
    fit_sigma_modules(net, weights)
    _check_tensors(path, weights, net)
    net.load_state_dict(weights)
    return net


def _found_by_all(path: Path) -> bool:
    """Return whether a checkpoint exists, with the same answer in every process."""
    found = gather_object([path.is_file()])
    if any(found) and not all(found):
        raise ValueError(
            f"{path} is there for {sum(found)} of {len(found)} processes: let all machines share the output folder, or "
            "copy it to each before going on."
        )
    return all(found)


def _load_optimizer(optimizer: Optimizer, content: dict[str, Any]) -> None:
    """Load an optimizer's state, in the parameters' memory format: another one may round differently."""
    optimizer.load_state_dict(content)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            for key, value in optimizer.state[parameter].items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    optimizer.state[parameter][key] = parameter.detach().clone().to(value.dtype).copy_(value)


def _check_tensors(path: str | Path, weights: dict[str, Tensor], model: nn.Module) -> None:
    there = {key: list(value.shape) for key, value in weights.items()}
    here = {key: list(value.shape) for key, value in model.state_dict().items()}
    if differences := _differences(there, here):
        raise ValueError(f"{path} is of another network: {'; '.join(differences[:3])}. Nothing was changed.")


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is None, False or empty, also in the recipe: a field that is newer than a checkpoint."""
    plain = {key: _given(value) if isinstance(value, dict) else value for key, value in values.items()}
    return {key: value for key, value in plain.items() if value or (value is not False and value == 0)}


def _differences(there: dict[str, Any], here: dict[str, Any], prefix: str = "") -> list[str]:
    """ "name is X there and Y here" for whatever differs, nested names joined by dots."""
    found = []
    for key in dict.fromkeys([*there, *here]):
        old, new = there.get(key), here.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append(f"{prefix}{key} is {old!r} there and {new!r} here")
    return found
