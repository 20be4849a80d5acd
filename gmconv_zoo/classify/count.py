"""Count correct images exactly, over any number of processes.

Every batch carries the indices of its images. They show that each image was counted once and that none of those which
processes get twice, so that their batches are of equal size, was counted again. What goes wrong in one process is
gathered like a count, so that all of them stop together instead of waiting for each other. A loader that fails in one
of them has no batch to gather: that process ends, and its launcher ends the others.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..data.eval_images import BAD_LABEL, EvalImages, EvalStream
from ..engine.extras import needs_extra
from .evaluate import Score, hits

with needs_extra("train"):
    from accelerate import Accelerator
    from accelerate.utils.memory import should_reduce_batch_size
    from tqdm import tqdm

__all__ = ["BadImagesError", "LoaderError", "count_correct", "describe_bad"]

_COUNTED, _BAD, _FAILED, _NO_MEMORY = range(4)


class BadImagesError(ValueError):
    """Images that cannot be read, named in the message."""


class LoaderError(RuntimeError):
    """The loader of one of several processes failed, and the others wait for its batch: this process must end."""


@torch.inference_mode()
def count_correct(
    model: nn.Module,
    images: EvalImages | EvalStream,
    *,
    accelerator: Accelerator,
    batch_size: int,
    workers: int = 0,
    dtype: torch.dtype | None = None,
    channels_last: bool = False,
    skip_bad: bool = False,
    progress: str = "",
) -> tuple[Score, list[int]]:
    """Classify every image once.

    Args:
        model: in eval mode on the accelerator's device, not wrapped for training.
        images: give (C, H, W) images, indices and labels.
        accelerator: splits batches over processes; its precision is not used.
        batch_size: images per forward pass of one process.
        workers: loader processes.
        dtype: of autocast; None for float32.
        channels_last: memory format of the images.
        skip_bad: leave images out that cannot be read, instead of stopping.
        progress: what the bar is called; empty for none.

    Returns:
        The counts over all processes, the same in each, and the indices of the images left out.

    Raises:
        BadImagesError: when an image cannot be read.
        LoaderError: when one of several processes gets no batch, for another reason.
        MemoryError: when a batch does not fit, in every process.
        ValueError: for a label beyond the network's outputs, or no images at all.
        RuntimeError: when the network fails, or an image was counted twice or not at all.
    """
    loader = accelerator.prepare(DataLoader(images, batch_size, num_workers=workers))
    seen: list[Tensor] = []
    counts, bad = torch.zeros(3, dtype=torch.int64), []
    shown = bool(progress) and accelerator.is_main_process
    total = len(loader) if isinstance(images, EvalImages) else None
    interval = 0.2 if sys.stderr.isatty() else 10.0  # a log file needs no redrawing
    batches = _batches(loader, accelerator)
    for batch, keys in tqdm(
        batches, progress, total, disable=not shown, unit="batch", mininterval=interval, leave=False
    ):
        rows, error = _rows(model, batch, keys, dtype, channels_last)
        rows = accelerator.gather_for_metrics(rows).cpu()
        states = rows[:, 1]
        _stop_together(states, error)
        if not skip_bad and bool((states == _BAD).any()):
            raise BadImagesError(describe_bad(images, rows[states == _BAD, 0].tolist()))
        bad += rows[states == _BAD, 0].tolist()
        counts += rows[states == _COUNTED, 2:].sum(0)
        seen.append(rows[:, 0])
    if seen:
        _check_each_once(torch.cat(seen), len(images) if isinstance(images, EvalImages) else None)
    count, top1, top5 = counts.tolist()
    if not count:
        raise ValueError("no image was counted: the set is empty, or none of its images can be read.")
    return Score(count, top1, top5), sorted(bad)


def _batches(loader: Iterable[tuple[Tensor, Tensor]], accelerator: Accelerator) -> Iterator[tuple[Tensor, Tensor]]:
    try:
        yield from loader
    except Exception as error:  # whatever a reader, a transform or a loader process may raise
        if accelerator.num_processes == 1:
            raise
        raise LoaderError(
            f"process {accelerator.process_index} of {accelerator.num_processes} got no images, so all of them end; "
            f"models evaluated before are kept. The reason: {type(error).__name__}: {error}"
        ) from error


def _rows(
    model: nn.Module, batch: Tensor, keys: Tensor, dtype: torch.dtype | None, channels_last: bool
) -> tuple[Tensor, Exception | None]:
    """(B, 5) int64 of index, state and hits; and what the network raised."""
    index, labels = keys.unbind(1)
    rows = torch.zeros(len(keys), 5, dtype=torch.int64, device=keys.device)
    rows[:, 0] = index
    rows[:, 1] = torch.where(labels == BAD_LABEL, _BAD, _COUNTED)
    try:
        if channels_last:
            batch = batch.contiguous(memory_format=torch.channels_last)
        with _autocast(batch.device, dtype):
            logits = model(batch).float()
        outside = labels[(labels >= logits.shape[1]) | (labels < BAD_LABEL)]
        if len(outside):
            raise ValueError(f"label {int(outside[0])}: the network has outputs 0 to {logits.shape[1] - 1}.")
        rows[:, 2:] = hits(logits, labels)
    except Exception as error:  # whatever a network may raise; all processes hear of it
        rows[:, 1] = _NO_MEMORY if isinstance(error, MemoryError) or should_reduce_batch_size(error) else _FAILED
        return rows, error
    return rows, None


def _check_each_once(indices: Tensor, size: int | None) -> None:
    """Compare the (N,) indices of all counted images with those of the set; its size is None for a stream."""
    distinct = len(indices.unique())
    missing, repeated = (0 if size is None else size - distinct), len(indices) - distinct
    if missing or repeated:
        raise RuntimeError(
            f"{missing} images were not counted and {repeated} more than once: the loader was not split over the "
            "processes as evaluation needs it. This is a bug, please report it."
        )


def _autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def _stop_together(states: Tensor, error: Exception | None) -> None:
    if bool((states == _NO_MEMORY).any()):
        raise MemoryError("a batch does not fit into memory: pass a smaller batch size, or retry.")
    if bool((states == _FAILED).any()):
        raise error if error is not None else RuntimeError("the network failed in another process, see its error.")


def describe_bad(images: EvalImages | EvalStream, indices: list[int]) -> str:
    """Say which images of a batch cannot be read and why, and what to do."""
    named = images.why_unreadable(indices[:5])
    rest = len(indices) - len(named)
    more = f" and {rest} more in this batch" if named and rest else ""
    shown = "; ".join(named) or f"{rest} images, which the process that reads names"
    return f"cannot be read: {shown}{more}. Repair or remove it, or leave such images out with --skip-bad."
