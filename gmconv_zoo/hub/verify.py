"""Check without a connection whether the cached weights are what their specs and the Hub declare."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from ..weights.check import check_file
from ..weights.fetch import cached_file
from ..weights.specs import SPECS, WeightSpec

__all__ = ["Record", "fits", "verify"]


@dataclass(frozen=True)
class Record:
    """The result of checking one weight.

    Attributes:
        name: its model.tag.
        status: "ok"; "missing" if it is not in the cache; "damaged" if it differs from what its source declared;
            "unexpected" if it is what its source declares today but not what this release knows; "unchecked" if no hash
            is known to compare it with.
        path: path of the file; None if it is missing.
        sha256: sha256 of its content; "" if it is missing.
        detail: a sentence without a full stop.
    """

    name: str
    status: str
    path: Path | None
    sha256: str
    detail: str

    @property
    def is_bad(self) -> bool:
        """Whether loading this weight would be refused."""
        return self.status in ("damaged", "unexpected")


def verify(names: str | Iterable[str] | None = None, *, cache_dir: str | Path | None = None) -> list[Record]:
    """Check the weights in the cache; nothing is downloaded, changed or deleted.

    Args:
        names: "model.tag" names or patterns such as "*resnet50*", one or several; None for every weight.
        cache_dir: folder for downloads; None for the caches of the Hub and torch.hub.

    Returns:
        One record per weight, in the order of the specs.

    Raises:
        ValueError: for a name or pattern that matches no weight.
    """
    patterns = ["*"] if names is None else [names] if isinstance(names, str) else list(names)
    for pattern in patterns:
        if not any(fits(name, pattern) for name in SPECS):
            raise ValueError(f"no weight is called {pattern!r}; there are: {', '.join(SPECS)}.")
    asked = [spec for name, spec in SPECS.items() if any(fits(name, pattern) for pattern in patterns)]
    return [_record(spec, cache_dir) for spec in asked]


def fits(name: str, pattern: str) -> bool:
    """Tell whether a pattern matches a "model.tag" name, or the model's name alone."""
    return fnmatch(name, pattern) or fnmatch(name.partition(".")[0], pattern)


def _record(spec: WeightSpec, cache_dir: str | Path | None) -> Record:
    path = cached_file(spec, cache_dir=cache_dir)
    if path is None:
        return Record(spec.name, "missing", None, "", f"{spec.location} is not in the cache")
    verdict = check_file(path, spec)
    return Record(spec.name, verdict.status, path, verdict.sha256, verdict.detail)
