"""List the registered networks and their weights: size, accuracy and whether a file is in the cache."""

from collections.abc import Iterable
from typing import Any

import timm

from ..models._names import FAMILIES
from ..weights.fetch import cached_file
from ..weights.specs import WeightSpec, specs_of
from .profile import profile_registered
from .verify import fits

__all__ = ["listed_models"]


def listed_models(patterns: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Describe the registered networks that match any pattern, without a connection and without loading weights.

    There is a JSON-ready row for each pretrained tag, and one with the tag "" for a network without any. Its "top1" in
    percent is this project's measurement, or else the source's number. ValueError for a pattern that matches nothing.
    """
    models = sorted(timm.list_models([f"{family}*" for family in FAMILIES]), key=lambda n: (n.partition("_")[2], n))
    found: dict[str, tuple[str, WeightSpec | None]] = {}
    for model in models:
        specs: list[WeightSpec | None] = [*specs_of(model)] or [None]
        found |= {model if spec is None else spec.name: (model, spec) for spec in specs}
    wanted = list(patterns) or ["*"]
    for pattern in wanted:
        if not any(fits(name, pattern) for name in found):
            raise ValueError(f"no network matches {pattern!r}: pass names that gmconv models lists, or patterns.")
    return [_row(*found[name]) for name in found if any(fits(name, pattern) for pattern in wanted)]


def _row(name: str, spec: WeightSpec | None) -> dict[str, Any]:
    counts = profile_registered(name, input_size=None if spec is None else spec.input_size)
    metric = None if spec is None else spec.measured or spec.upstream
    return {
        "model": name,
        "tag": "" if spec is None else spec.tag,
        "parameters": counts.parameters,
        "gmacs": float(f"{counts.macs / 1e9:.3g}"),
        "image_size": counts.input_size[1],
        "top1": None if metric is None else metric.top1,
        "dataset": "" if metric is None else metric.dataset,
        "origin": "" if metric is None else metric.source,
        "cached": spec is not None and (bool(spec.packaged) or cached_file(spec) is not None),
    }
