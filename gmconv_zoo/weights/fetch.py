"""Download a weight by its spec, check the file's content, and return where it lies."""

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

import torch
from huggingface_hub import hf_hub_download

from .specs import WeightSpec

__all__ = ["check_sha256", "fetch"]


def fetch(spec: WeightSpec, *, cache_dir: str | Path | None = None) -> Path:
    """The checked local file of a spec, downloaded when it is not cached.

    Args:
        spec: which weight.
        cache_dir: where downloads are kept; None for the Hub's and torch.hub's own caches.

    Returns:
        A path whose content has the spec's sha256, where that is known.

    Raises:
        RuntimeError: when the content is not what the spec says.
    """
    if spec.packaged:
        path = Path(__file__).parent / spec.packaged
    elif spec.hf_hub_id:
        path = Path(
            hf_hub_download(spec.hf_hub_id, spec.filename, revision=spec.revision or None, cache_dir=cache_dir)
        )
    else:
        folder = Path(cache_dir or Path(torch.hub.get_dir()) / "checkpoints")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / Path(urlsplit(spec.url).path).name
        if not path.exists():
            torch.hub.download_url_to_file(spec.url, str(path), hash_prefix=spec.sha256_prefix or None)
    check_sha256(path, spec)
    return path


def check_sha256(path: Path, spec: WeightSpec) -> None:
    """Compare a file's content with what its spec says.

    Raises:
        RuntimeError: naming the file, the expected and the found digest, and what to do.
    """
    expected = spec.sha256 or spec.sha256_prefix
    if not expected:
        return
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)
    if not found.startswith(expected):
        raise RuntimeError(f"{path}: sha256 {found} is not {expected}; delete the file and try again.")


def _digest(file) -> str:  # noqa: ANN001
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
