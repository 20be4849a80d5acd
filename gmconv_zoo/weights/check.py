"""Check whether a file on this disk is the weight of a spec, by the hash of its content."""

import hashlib
import os
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open

from .specs import WeightSpec

__all__ = ["Record", "check_file", "declared_sha256", "discard", "is_safetensors", "sha256_of"]

SHA256 = re.compile(r"[0-9a-f]{64}")
BLOCK = 1 << 20  # bytes hashed at a time


@dataclass(frozen=True)
class Record:
    """The result of checking one weight.

    Attributes:
        name: its model.tag.
        path: path of the file; None if it is missing.
        status: "ok"; "missing" if it is not in the cache; "damaged" if it differs from what its source declares;
            "unexpected" if it is what its source declares today but not what this release knows; "unchecked" if no
            hash is known to compare it with.
        detail: a sentence without a full stop.
        sha256: sha256 of its content; "" if it is missing.
    """

    name: str
    path: Path | None
    status: Literal["ok", "missing", "damaged", "unexpected", "unchecked"]
    detail: str
    sha256: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether loading this weight would be refused."""
        return self.status in ("damaged", "unexpected")


def check_file(path: Path, spec: WeightSpec) -> Record:
    """Compare the hash of a file with those that the spec and, for a download from the Hub, the Hub declare."""
    found = sha256_of(path)
    declared = declared_sha256(path) if spec.hf_hub_id else ""
    known = spec.sha256 or spec.sha256_prefix
    record = partial(Record, spec.name, path, sha256=found)
    if declared and found != declared:
        return record("damaged", f"its sha256 is {found} but the Hub declared {declared}")
    if known and not found.startswith(known):
        return record("unexpected" if declared else "damaged", f"its sha256 is {found} but {spec.name} is {known}")
    if path.suffix == ".safetensors" and not is_safetensors(path):
        reason = "it is not in the safetensors format, and no other is loaded from the Hub"
        return record("unexpected" if declared or known else "damaged", reason)
    if not (declared or known):
        return record("unchecked", "neither this release nor the cache knows its sha256")
    return record("ok", "its sha256 is what it should be")


def declared_sha256(path: Path) -> str:
    """Return the sha256 that the Hub announced for a cached file; "" if its cache does not record it.

    A snapshot links to a blob named after that hash, which may itself be a link to a store with other names.
    """
    if not path.is_symlink():
        return ""
    name = Path(os.readlink(path)).name
    return name if SHA256.fullmatch(name) else ""


def discard(path: Path, spec: WeightSpec) -> None:
    """Delete a damaged download, and in the Hub's cache also the blob that it links to.

    In other folders, a link may lead to a user's own file, which is not deleted.
    """
    entries = [path]
    if spec.hf_hub_id and path.is_symlink():
        entries += [path.parent / os.readlink(path), path.resolve()]
    for entry in entries:
        entry.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's content in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def is_safetensors(path: Path) -> bool:
    """Tell whether a file is a complete safetensors file."""
    try:
        with safe_open(path, framework="pt"):
            return True
    except SafetensorError:
        return False
