"""Check without a connection whether the cached weights are what their specs and the Hub declare."""

from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from ..weights.check import Record, check_file
from ..weights.fetch import cached_file
from ..weights.specs import SPECS

__all__ = ["Record", "fits", "verify"]


def verify(names: str | Iterable[str] | None = None, *, cache_dir: str | Path | None = None) -> list[Record]:
    """Check the weights in the cache; nothing is downloaded, changed or deleted.

    Args:
        names: "model.tag" names or patterns such as "*resnet50*", one or several; None for every weight.
        cache_dir: folder for downloads; None for the caches of the Hub and torch.hub.

    Raises:
        ValueError: for a name or pattern that matches no weight, or a cache_dir that does not exist.
    """
    if cache_dir is not None and not Path(cache_dir).is_dir():
        raise ValueError(f"cache_dir={str(cache_dir)!r} is not a folder: pass one that holds downloads (--cache-dir).")
    patterns = ["*"] if names is None else [names] if isinstance(names, str) else list(names)
    for pattern in patterns:
        if not any(fits(name, pattern) for name in SPECS):
            raise ValueError(f"no weight is called {pattern!r}; there are: {', '.join(SPECS)}.")
    asked = [spec for name, spec in SPECS.items() if any(fits(name, pattern) for pattern in patterns)]
    files = [(spec, cached_file(spec, cache_dir=cache_dir)) for spec in asked]
    return [
        check_file(path, spec) if path else Record(spec.name, None, "missing", f"{spec.location} is not in the cache")
        for spec, path in files
    ]


def fits(name: str, pattern: str) -> bool:
    """Tell whether a pattern matches a "model.tag" name, or the model's name alone."""
    return fnmatch(name, pattern) or fnmatch(name.partition(".")[0], pattern)
