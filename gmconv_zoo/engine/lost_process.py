"""A process of the run that has ended without a word: the others say so, instead of what their connection says."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed as dist

__all__ = ["LostProcessError", "how_to_go_on", "naming_lost_process"]

# How gloo's and NCCL's messages tell that the other end is gone; gloo's errors have no type of their own.
_SIGNS = ("gloo", "connection closed by peer", "connection reset by peer", "broken pipe", "nccl")


class LostProcessError(RuntimeError):
    """Another process of the run was killed or lost its connection. The message says how to go on."""


@contextmanager
def naming_lost_process(checkpoint: Path | None) -> Iterator[None]:
    """Wrap what processes do together.

    Args:
        checkpoint: the file that a new start goes on from, whether it exists yet or not; None where none is written.

    Raises:
        LostProcessError: in place of the error of a broken connection, from which it is raised; or where the launcher
            notices first, and ends this process too (SIGTERM).
    """
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() < 2:
        yield
        return

    def lost(said: str) -> LostProcessError:
        return LostProcessError(
            f"process {dist.get_rank()} of {dist.get_world_size()} lost another process of this run, which was "
            "killed (perhaps for want of memory), failed, or lost its connection; see its own messages. "
            f"{how_to_go_on(checkpoint)} {said}"
        )

    with _raising_on_sigterm(lambda: lost("The launcher ends this process too.")):
        try:
            yield
        except RuntimeError as error:
            if not _is_connection_error(error):
                raise
            said = str(error).partition("\n")[0]
            raise lost(f"The connection says: {said}") from error


@contextmanager
def _raising_on_sigterm(error: Callable[[], Exception]) -> Iterator[None]:
    """Raise when this process is told to end; once it fails anyhow, it is left the time to say why."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only that one can be told
        return
    own = os.getpid()

    def stop(number: int, _: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() != own:  # a loader's process, which has this from its parent
            os.kill(os.getpid(), number)
            return
        raise error()

    def ignore_once(number: int, _: Any) -> None:
        signal.signal(number, signal.SIG_DFL)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except BaseException:
        signal.signal(signal.SIGTERM, ignore_once)
        raise
    signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _is_connection_error(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or any(sign in str(error).lower() for sign in _SIGNS)


def how_to_go_on(checkpoint: Path | None) -> str:
    if checkpoint is None or not checkpoint.is_file():
        return "No checkpoint has been saved: start again."
    return f"{checkpoint} is saved: pass resume (--resume) to go on from it."
