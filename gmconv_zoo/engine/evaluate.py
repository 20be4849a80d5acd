"""One evaluation loop for every task: a network sees each sample of a loader once, and an evaluator counts.

What goes wrong in one process is gathered like a count, so that all processes stop together instead of waiting for each
other. A loader that fails in one of them has no batch to gather: that process ends, and its launcher ends the others.
"""

import sys
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..extras import needs_extra
from ..sigmas import eval_mode

with needs_extra("train"):
    from accelerate import Accelerator
    from accelerate.utils import send_to_device
    from accelerate.utils.memory import should_reduce_batch_size
    from tqdm import tqdm

__all__ = ["Evaluator", "LoaderError", "evaluate"]

_FINE, _FAILED, _NO_MEMORY = range(3)


class LoaderError(RuntimeError):
    """The loader of one of several processes failed, and the others wait for its batch: this process must end."""


class Evaluator(Protocol):
    """Counts for one task."""

    def rows(self, outputs: Any, targets: Any) -> Any:
        """Return one row per sample of this process's batch: tensors of B rows, or a list of B objects."""

    def update(self, rows: Any) -> None:
        """Count the rows of all processes, each sample once; called alike in every process."""

    def result(self) -> Any:
        """Return what was counted."""


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    loader: Iterable[tuple[Any, Any]],
    evaluator: Evaluator,
    *,
    accelerator: Accelerator | None = None,
    channels_last: bool = False,
    progress: str = "",
) -> Any:
    """Run a network on every sample of a loader once, in eval mode, and return the evaluator's result.

    Args:
        loader: yields pairs of inputs and targets; the last batch may be partial.
        evaluator: used once.
        accelerator: for several processes; it has prepared the loader. Samples that it repeats so that every process
            gets as many are not counted.
        channels_last: bring (B, C, H, W) inputs into this memory format.
        progress: name of the progress bar; empty for no bar.

    Raises:
        LoaderError: when one of several processes gets no batch.
        MemoryError: when a batch does not fit into memory, in every process.
        Exception: what the network or the evaluator raised; in the other processes a RuntimeError.
    """
    device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    with eval_mode(model):
        for inputs, targets in _batches(loader, accelerator, progress):
            state, error, rows = _FINE, None, None
            try:
                inputs, targets = send_to_device((inputs, targets), device)
                if channels_last and isinstance(inputs, Tensor):
                    inputs = inputs.contiguous(memory_format=torch.channels_last)
                rows = evaluator.rows(model(inputs), targets)
            except Exception as caught:  # whatever a network may raise; all processes hear of it
                full = isinstance(caught, MemoryError) or should_reduce_batch_size(caught)
                state, error = (_NO_MEMORY if full else _FAILED), caught
            _stop_together(state, error, accelerator, device)
            if accelerator is not None:
                rows = accelerator.gather_for_metrics(rows)
            evaluator.update(rows)
    return evaluator.result()


def _batches(loader: Iterable[Any], accelerator: Accelerator | None, name: str) -> Iterator[Any]:
    shown = name and (accelerator is None or accelerator.is_main_process)
    interval = 0.2 if sys.stderr.isatty() else 10.0  # a log file needs no redrawing
    try:
        yield from tqdm(loader, name, unit="batch", mininterval=interval, leave=False, disable=not shown)
    except Exception as error:  # whatever a reader, a transform or a loader process may raise
        if accelerator is None or accelerator.num_processes == 1:
            raise
        raise LoaderError(
            f"process {accelerator.process_index} of {accelerator.num_processes} got no batch, so all of them end. "
            f"The reason: {type(error).__name__}: {error}"
        ) from error


def _stop_together(state: int, error: Exception | None, accelerator: Accelerator | None, device: torch.device) -> None:
    if accelerator is not None and accelerator.num_processes > 1:
        state = int(accelerator.gather(torch.tensor([state], device=device)).max())
    if state == _NO_MEMORY:
        raise MemoryError("a batch does not fit into memory: pass a smaller batch size, or retry.") from error
    if state == _FAILED:
        raise error if error is not None else RuntimeError("the network failed in another process, see its error.")
