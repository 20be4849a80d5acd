"""Find or download a weight by its spec, and check the content of the file."""

import logging
import re
from pathlib import Path

import torch
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import OfflineModeIsEnabled

from .check import check_file, discard
from .errors import WeightsError, diagnose, explain
from .specs import WeightSpec

__all__ = ["cached_file", "check_sha256", "fetch"]

_logger = logging.getLogger(__name__)

FULL_COMMIT = re.compile(r"[0-9a-f]{40}")


def fetch(spec: WeightSpec, *, cache_dir: str | Path | None = None) -> Path:
    """Return the local file of a spec after checking it; it is downloaded if it is not in the cache.

    For a cached file of a pinned revision, no request is sent. For any other revision, the Hub is asked for a newer
    file; if it does not answer, the cached file is used and a warning is logged. Without a ``cache_dir``, the caches
    are those of the Hub (HF_HOME) and torch.hub (TORCH_HOME).

    Raises:
        WeightsError: if the file cannot be loaded, or is not what its spec or the Hub declares.
    """
    if spec.hf_hub_id and not spec.filename.endswith(".safetensors"):
        raise WeightsError(f"{spec.name}: {spec.location} is not in the safetensors format; no other is loaded.")
    try:
        path = _hub_file(spec, cache_dir) if spec.hf_hub_id else _other_file(spec, cache_dir)
    except Exception as error:  # every transport has error types of its own
        raise explain(spec, error, folder=str(_cache_folder(spec, cache_dir))) from error
    if spec.packaged and not path.exists():
        raise WeightsError(f"{spec.name}: {path} is missing from this installation. Install gmconv_zoo again.")
    check_sha256(path, spec)
    return path


def check_sha256(path: Path, spec: WeightSpec) -> None:
    """Check that a file's content is what its spec and the Hub declare; WeightsError, and a damaged download goes."""
    record = check_file(path, spec)
    if record.status == "unchecked":
        _logger.warning("%s: %s could not be checked, %s.", spec.name, path, record.detail)
    elif record.status == "damaged":
        raise WeightsError(f"{spec.name}: {path} is damaged, {record.detail}. {_removal(path, spec)}")
    elif record.status == "unexpected":
        raise WeightsError(
            f"{spec.name}: {path} is not the file this release of gmconv_zoo knows, {record.detail}. It was left "
            "where it is. Update gmconv_zoo, or pass a file of your own, "
            "pretrained_cfg_overlay=dict(file=...) (--weights)."
        )


def cached_file(spec: WeightSpec, *, cache_dir: str | Path | None = None) -> Path | None:
    """Return the path of a spec's file on this disk, without a check or a request; None if it does not exist."""
    if spec.hf_hub_id:
        found = try_to_load_from_cache(
            spec.hf_hub_id, spec.filename, cache_dir=cache_dir, revision=spec.revision or None
        )
        return Path(found) if isinstance(found, str) else None
    path = _cache_folder(spec, cache_dir) / (spec.packaged or spec.basename)
    return path if path.exists() else None


def _hub_file(spec: WeightSpec, cache_dir: str | Path | None) -> Path:
    cached = cached_file(spec, cache_dir=cache_dir)
    if cached and (FULL_COMMIT.fullmatch(spec.revision) or _is_newest(spec, cached)):
        return cached
    return Path(hf_hub_download(spec.hf_hub_id, spec.filename, revision=spec.revision or None, cache_dir=cache_dir))


def _is_newest(spec: WeightSpec, cached: Path) -> bool:
    """Tell whether the cached file is the Hub's newest; also true, with a warning, if the Hub does not answer."""
    try:
        url = hf_hub_url(spec.hf_hub_id, spec.filename, revision=spec.revision or None)
        commit = get_hf_file_metadata(url).commit_hash
    except OfflineModeIsEnabled:
        return True
    except Exception as error:  # every transport has error types of its own
        happened, _ = diagnose(spec, error, folder=str(cached.parent))
        _logger.warning("%s: %s. Using the cached file %s.", spec.name, happened, cached)
        return True
    return commit in cached.parts  # .../snapshots/<commit>/<file name>


def _other_file(spec: WeightSpec, cache_dir: str | Path | None) -> Path:
    path = _cache_folder(spec, cache_dir) / (spec.packaged or spec.basename)
    if spec.url and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        known = spec.sha256 or spec.sha256_prefix
        # writes to a temporary name and moves the file here once its hash is right
        torch.hub.download_url_to_file(spec.url, str(path), hash_prefix=known or None, progress=False)
    return path


def _cache_folder(spec: WeightSpec, cache_dir: str | Path | None) -> Path:
    if spec.packaged:
        return Path(__file__).parent
    if spec.hf_hub_id:
        return Path(cache_dir or constants.HF_HUB_CACHE)
    return Path(cache_dir or Path(torch.hub.get_dir()) / "checkpoints")


def _removal(path: Path, spec: WeightSpec) -> str:
    """Delete a damaged download, because other programs would load it without a check, and say so."""
    if spec.packaged:
        return "Install gmconv_zoo again."
    try:
        discard(path, spec)
    except OSError as error:
        return f"It could not be deleted ({error}): delete it, then try again."
    return "It was deleted from the cache: try again to download it afresh."
