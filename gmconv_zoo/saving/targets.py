"""What a command may overwrite: never one of its inputs, and a network or other files only if the user says so."""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from .config import CONFIG_NAME, WEIGHTS_NAME

__all__ = ["check_target"]


def check_target(
    target: str | Path,
    option: str = "--output",
    *,
    writes: Collection[str] | None = None,
    inputs: Iterable[str | Path] = (),
    overwrite: bool = False,
) -> None:
    """Refuse, with a ValueError, to write where something else would be lost, before any work is done.

    Args:
        target: file or folder that will be written; it need not exist.
        option: the option or argument that named the target, for messages.
        writes: names that will be written into a folder; None for a target that is a file.
        inputs: files and folders that are read; they are protected even with ``overwrite``.
        overwrite: allow a file that exists, or a folder that holds a network or files of other names.
    """
    path = Path(target)
    if path.exists():
        found = path.stat()
        if any(os.path.samestat(found, os.stat(name)) for name in inputs if os.path.exists(name)):
            raise ValueError(f"{option} {path} is one of the inputs, which would be lost: choose another one.")
    if path.exists() and path.is_dir() != (writes is not None):
        wanted, is_a = ("folder", "file") if writes is not None else ("file", "folder")
        raise ValueError(f"{option} {path} is a {is_a}: pass a {wanted}.")
    _check_writable(path, option)
    if reason := "" if overwrite else _in_the_way(path, writes):
        raise ValueError(f"{option} {path} {reason}: choose another one, or pass overwrite (--overwrite).")


def _in_the_way(path: Path, writes: Collection[str] | None) -> str:
    """Say what would be overwritten at a path; empty if nothing would be."""
    if writes is None:
        return "exists" if path.is_file() else ""  # a device such as /dev/stdout is not a file
    if not path.exists():
        return ""
    names = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
    if networks := [name for name in (CONFIG_NAME, WEIGHTS_NAME) if name in names]:
        return f"holds a network ({networks[0]})"
    # ".part" is what a write leaves that was cut short
    foreign = [name for name in names if name.removesuffix(".part") not in writes]
    return f"holds {foreign[0]}, which this command does not write" if foreign else ""


def _check_writable(path: Path, option: str) -> None:
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if there != path and not there.is_dir():
        raise ValueError(f"{option} {path} cannot be written: {there} is a file, not a folder.")
    if not os.access(there, os.W_OK):
        raise ValueError(f"{option} {path} cannot be written: you have no permission to write {there}.")
