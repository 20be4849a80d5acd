"""Replace a file as a whole: after a crash there is the earlier file or the new one, and never a part of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replacing"]


@contextmanager
def replacing(path: Path, *, sync: bool = False) -> Iterator[Path]:
    """Give the path of a file to write, which replaces another one once it is complete.

    The new file has the permissions that the umask gives, and with ``sync`` it survives a loss of power. If writing
    fails, the earlier file is kept. A device such as /dev/stdout is written to, not replaced.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    scratch = path.with_name(f"{path.name}.part")
    try:
        scratch.touch()
        permissions = scratch.stat().st_mode
        yield scratch
        scratch.chmod(permissions)  # safetensors lets the owner alone read its files
        if sync:
            _sync(scratch, os.O_RDWR)
        os.replace(scratch, path)
        if sync and os.name == "posix":  # the new name is on the disk only when its folder is
            _sync(path.parent, os.O_RDONLY)
    finally:
        scratch.unlink(missing_ok=True)


def _sync(path: Path, mode: int) -> None:
    handle = os.open(path, mode)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
