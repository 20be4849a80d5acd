"""Compare measured accuracies with the documented ones, on the full ImageNet-1k validation set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..data.class_order import check_imagenet_classes
from ..images.image_source import ImageSource
from ..weights.specs import SPECS, Metric, WeightSpec, get_spec
from .settings import ValidationRow, ValidationSettings
from .validate import find_models, is_pattern

__all__ = [
    "Comparison",
    "check_full_imagenet",
    "compare",
    "comparison_table",
    "documented_metric",
    "documented_models",
    "train_sized",
    "wilson_interval",
]

_IMAGENET_IMAGES, _TOLERANCE = 50_000, 0.1
_DATASET = "ImageNet-1k validation"


@dataclass(frozen=True)
class Comparison:
    """A documented top-1 or top-5 accuracy and what was measured, in percent.

    `measured` and its 95 % interval are None for a model that failed; `problem` is empty where both agree.
    """

    model: str
    metric: Literal["top1", "top5"]
    documented: float
    measured: float | None
    interval: tuple[float, float] | None
    problem: str = ""


def wilson_interval(correct: int, count: int) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of a share, in percent."""
    from scipy.stats import binomtest  # of the "train" extra; it takes a second to import

    interval = binomtest(correct, count).proportion_ci(method="wilson")
    return 100 * interval.low, 100 * interval.high


def documented_metric(spec: WeightSpec) -> Metric | None:
    """Return what a spec documents on ImageNet: its own measurement, else its source's; None for neither."""
    metric = spec.measured or spec.upstream
    return metric if metric is not None and metric.dataset == _DATASET else None


def documented_models(models: Sequence[str] = ()) -> list[str]:
    """Return the names with tags of models that have a documented ImageNet accuracy, by names or patterns; all without.

    Models that match a pattern but are not documented are left out; ValueError for a name, or a pattern, without any.
    """
    found: list[str] = []
    unknown: list[str] = []
    for model in models or SPECS:
        try:
            names = find_models(model) if is_pattern(model) else [get_spec(model).name]
        except ValueError:
            names = []
        known = [name for name in names if name in SPECS and documented_metric(SPECS[name]) is not None]
        found += known
        unknown += [model] if models and not known else []
    if unknown:
        raise ValueError(
            f"no ImageNet accuracy is documented for {', '.join(unknown)}: leave it out of --model, or leave "
            "out --verify."
        )
    return list(dict.fromkeys(found))


def train_sized(models: Sequence[str]) -> list[str]:
    """Return those whose documented number is of their training size, not their test size."""
    found = []
    for name in models:
        spec, metric = SPECS[name], documented_metric(SPECS[name])
        trained, tested = spec.input_size[1], (spec.test_input_size or spec.input_size)[1]
        if metric is not None and trained == metric.image_size != tested:
            found.append(name)
    return found


def check_full_imagenet(source: ImageSource, settings: ValidationSettings) -> str:
    """Check that documented numbers can be compared with a measurement; return how the order of the classes is known.

    ValueError for another number of images, other classes, or preprocessing or weights that are not the models' own.
    """
    if settings.overrides or settings.train_input_size:
        names = [*settings.overrides, *(["train_input_size"] if settings.train_input_size else [])]
        raise ValueError(f"documented numbers hold for the models' own preprocessing: leave out {', '.join(names)}.")
    if settings.weights is not None:
        raise ValueError("documented numbers hold for the models' own weights: leave out weights (--weights).")
    if len(source) != _IMAGENET_IMAGES:
        raise ValueError(
            f"{source.name} has {len(source):,} images; the full ImageNet-1k validation set has {_IMAGENET_IMAGES:,}."
        )
    return check_imagenet_classes(source)


def compare(rows: Sequence[ValidationRow]) -> list[Comparison]:
    """Compare every documented number, of models that `documented_models` returned, with the measured one."""
    names: tuple[Literal["top1", "top5"], ...] = ("top1", "top5")
    metrics = [(row, metric) for row in rows if (metric := documented_metric(SPECS[row.model])) is not None]
    return [_compare(row, metric, name) for row, metric in metrics for name in names if getattr(metric, name)]


def comparison_table(comparisons: Sequence[Comparison]) -> str:
    """Return one line per comparison, under a heading."""
    width = max(len("model"), *(len(item.model) for item in comparisons))
    lines = [f"{'model':{width}}  metric  documented  measured  95 % interval     verdict"]
    for item in comparisons:
        measured = "-" if item.measured is None else f"{item.measured:.3f}"
        interval = "-" if item.interval is None else f"{item.interval[0]:.3f} - {item.interval[1]:.3f}"
        verdict = item.problem or "ok"
        lines.append(
            f"{item.model:{width}}  {item.metric:6}  {item.documented:10.3f}  {measured:>8}  {interval:16}  {verdict}"
        )
    return "\n".join(lines)


def _compare(row: ValidationRow, metric: Metric, name: Literal["top1", "top5"]) -> Comparison:
    documented: float = getattr(metric, name)
    if row.score is None:
        return Comparison(row.model, name, documented, None, None, row.error)
    correct, count = getattr(row.score, name), row.score.count
    measured = 100 * correct / count
    off = round(measured - documented, 6)
    problem = f"off by {off:+.3f} points" if abs(off) > _TOLERANCE else ""
    if count != _IMAGENET_IMAGES:
        problem = f"{count:,} images instead of {_IMAGENET_IMAGES:,}"
    interval = wilson_interval(correct, count)
    return Comparison(row.model, name, documented, measured, interval, problem)
