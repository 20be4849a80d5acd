"""One error for all ways in which loading a weight can fail, which says what happened and what to do."""

import errno
import re
from collections.abc import Iterator

from huggingface_hub import errors, get_token

from .specs import WeightSpec

__all__ = ["WeightsError", "diagnose", "explain"]

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
BUSY = (408, 429, 500, 502, 503, 504)


class WeightsError(RuntimeError):
    """Pretrained weights could not be loaded, or are not what they should be; nothing was loaded."""


def explain(spec: WeightSpec, error: Exception, *, folder: str) -> WeightsError:
    """Return the error that tells the user why a download failed: the weight, what happened and what to do."""
    happened, remedy = diagnose(spec, error, folder=folder)
    return WeightsError(
        f"{spec.name}: {happened}. {remedy} Or pass a copy of {spec.basename} that you have, "
        "pretrained_cfg_overlay=dict(file=...) (--weights), or pretrained=False."
    )


def diagnose(spec: WeightSpec, error: Exception, *, folder: str) -> tuple[str, str]:
    """Return what happened, without a full stop, and what to do, as a sentence; arguments as for `explain`."""
    return _hub_answer(spec, error) or _local_cause(spec, error, folder) or _connection(spec, error)


def _hub_answer(spec: WeightSpec, error: Exception) -> tuple[str, str] | None:
    """What the Hub said about the repository, most specific first."""
    if isinstance(error, errors.GatedRepoError):  # a kind of RepositoryNotFoundError
        happened = f"{spec.hf_hub_id} is gated"
        if get_token():
            return f"{happened} and your token has no access to it", "Ask for access on its page on the Hub."
        return happened, "Ask for access on its page on the Hub, then set HF_TOKEN."
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{spec.hf_hub_id} does not exist on the Hub, or is private", "Set HF_TOKEN if it is yours."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{spec.hf_hub_id} has no revision {spec.revision or 'main'}", "Update gmconv_zoo."
    if isinstance(error, errors.RemoteEntryNotFoundError):
        happened = f"{spec.hf_hub_id} has no file {spec.filename}"
        return happened, "Other formats, such as pickles, are not loaded from the Hub. Update gmconv_zoo."
    return None


def _local_cause(spec: WeightSpec, error: Exception, folder: str) -> tuple[str, str] | None:
    """What went wrong on this machine."""
    if any(isinstance(cause, errors.OfflineModeIsEnabled) for cause in _causes(error)):
        happened = f"HF_HUB_OFFLINE is set and {spec.location} is not in {folder}"
        return happened, "Download it once without HF_HUB_OFFLINE."
    numbers = {cause.errno for cause in _causes(error) if isinstance(cause, OSError)}
    if numbers & set(DISK_FULL):
        happened = f"no space left in {folder}; nothing of the download is used"
        return happened, "Free some, or set HF_HOME, TORCH_HOME or cache_dir to a larger disk."
    if numbers & set(NOT_WRITABLE):
        return f"{folder} is not writable", "Set HF_HOME, TORCH_HOME or cache_dir to a folder of yours."
    if "Consistency check failed" in str(error):
        return f"the download of {spec.location} was cut short; nothing of it is used", "Try again."
    if "invalid hash value" in str(error):
        happened = f"the file at {spec.location} does not have sha256 {spec.sha256 or spec.sha256_prefix + '...'}"
        return f"{happened} and was not kept", "Try again; a proxy may have changed it."
    return None


def _connection(spec: WeightSpec, error: Exception) -> tuple[str, str]:
    """Everything else is between this machine and the server."""
    status = next((code for cause in _causes(error) if (code := _http_status(cause))), 0)
    if status in BUSY:
        return f"the server of {spec.location} is busy or down (HTTP {status})", "Try again in a few minutes."
    if status in (404, 410):
        return f"there is no {spec.location} (HTTP {status})", "Update gmconv_zoo."
    if status:
        return f"the server refused {spec.location} (HTTP {status})", "Check HF_ENDPOINT, HF_TOKEN and your proxy."
    causes = [cause for cause in _causes(error) if not isinstance(cause, errors.LocalEntryNotFoundError)]
    reason = re.sub(r"\s+", " ", str(causes[0])) if causes else "no answer"
    return (
        f"{spec.location} could not be reached ({reason})",
        "Check the connection, HF_ENDPOINT and your proxy, then try again.",
    )


def _http_status(error: BaseException) -> int:
    """The status of an HTTP error of huggingface_hub or urllib, 0 for other errors."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None) or getattr(error, "code", None)
    return status if isinstance(status, int) else 0


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from."""
    while error is not None:
        yield error
        error = error.__cause__
