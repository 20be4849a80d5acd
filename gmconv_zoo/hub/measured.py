"""The measured metric that is published with weights: what training recorded, or what the publisher declares."""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files.records import RESULTS_NAME, read_results
from ..models._names import tagged_name
from ..saving import CONFIG_NAME
from ..saving.detectors import holds_detector
from ..weights.specs import Metric, Stem

__all__ = ["DetectionMetric", "choose_measured", "read_start", "read_stem"]

_AVERAGE_PRECISIONS = ("AP", "AP50", "AP75", "APs", "APm", "APl")


@dataclass(frozen=True)
class DetectionMetric:
    """Average precision of a detector and of each class in percent, None without such objects; the rest as `Metric`."""

    values: dict[str, float | None]
    per_class: dict[str, float | None]
    images: int
    dataset: str
    origin: str
    date: str = ""


def choose_measured(
    folder: str | Path,
    *,
    top1: float | None = None,
    top5: float | None = None,
    dataset: str = "",
    origin: str = "",
    absent: bool = False,
) -> Metric | DetectionMetric | None:
    """Return the metric to publish with the weights in a folder; for a detector, it is read from results.json.

    Args:
        top1, top5: accuracy in percent if it was measured elsewhere; without them, results.json is read.
        dataset, origin: what was measured, e.g. "CIFAR-10 test", and how and where.
        absent: publish without a metric, which is None then.

    Raises:
        ValueError: if the folder does not exist, or the metric is missing (and not declared absent) or incomplete.
    """
    if not Path(folder).is_dir():
        raise ValueError(f"the folder {folder} does not exist: pass one that gmconv_zoo.save or a training wrote.")
    given = top1 is not None or top5 is not None or bool(origin)
    if absent:
        if given:
            raise ValueError("absent (--no-metric) excludes a measured accuracy (--top1, --origin): pass either.")
        return None
    if holds_detector(folder):
        return _detection_metric(folder, dataset, given=given)
    if given and top1 is None:
        raise ValueError("top5 and origin (--top5, --origin) belong to a top1 (--top1): pass it, or leave them out.")
    if top1 is not None:
        if not 0 <= top1 <= 100:
            raise ValueError(f"top1={top1:g}: pass an accuracy in percent, 0 to 100.")
        if top5 is not None and not top1 <= top5 <= 100:
            raise ValueError(f"top5={top5:g}: pass an accuracy in percent, from top1={top1:g} to 100.")
        if not dataset or not origin:
            raise ValueError(
                f"top1={top1:g}: say what was measured and how, as dataset (--dataset) and origin (--origin)."
            )
        return Metric(top1, top5, dataset, origin, datetime.date.today().isoformat())
    metric = _recorded_metric(folder, dataset)
    if metric is None:
        if not Path(folder, CONFIG_NAME).is_file():
            raise ValueError(f"{folder} has no {CONFIG_NAME}: pass a folder that gmconv_zoo.save or a training wrote.")
        path = Path(folder) / RESULTS_NAME
        raise ValueError(f"{path} records no score: pass the measured --top1, --dataset and --origin, or --no-metric.")
    return metric


def _recorded_metric(folder: str | Path, dataset: str) -> Metric | None:
    """Return the accuracy in a run's results.json, with machine and versions as its origin; None without a score."""
    path = Path(folder) / RESULTS_NAME
    record = read_results(folder)
    try:
        score = record.get("score")
        if score is None:
            return None
        top1, top5 = float(score["top1_percent"]), score.get("top5_percent")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a record that training wrote ({error!r}).") from error
    named = dataset or record.get("dataset", "")
    if not named:
        raise ValueError(f'{path} does not say what was measured: pass dataset (--dataset), e.g. "CIFAR-10 test".')
    top5 = None if top5 is None else round(float(top5), 3)
    return Metric(round(top1, 3), top5, named, _origin(record), record.get("date", ""))


def _detection_metric(folder: str | Path, dataset: str, *, given: bool) -> DetectionMetric:
    path = Path(folder) / RESULTS_NAME
    if given:
        raise ValueError(f"{folder} holds a detector: leave out --top1, --top5 and --origin, {path} has its precision.")
    record = read_results(folder)
    try:
        score = record["score"]
        values, per_class = {name: _percent(score[name]) for name in _AVERAGE_PRECISIONS}, score["per_class"]
        named = dataset or Path(record["dataset"]).name
        origin, date = _origin(record), record.get("date", "")
        return DetectionMetric(
            values, {name: _percent(value) for name, value in per_class.items()}, score["images"], named, origin, date
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} records no average precision ({error!r}): copy the {RESULTS_NAME} there that gmconv detect-eval "
            'MODEL DATA --output writes, or pass --no-metric, and the card will read "not measured".'
        ) from error


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * float(share), 2)


def read_start(folder: str | Path) -> str | None:
    """Return the name of the weights that a run started from: timm's, the Hub's, or the last part of a folder's path.

    It is empty for random weights, and None where nothing was recorded.
    """
    record = read_results(folder)
    if start := record.get("start"):
        return Path(start).name if Path(start).exists() or Path(start).is_absolute() else str(start)
    if "model_options" not in record:
        return None
    if not (record["model_options"] or {}).get("pretrained"):
        return ""
    return tagged_name(record["model"], record.get("tag"))


def read_stem(folder: str | Path) -> Stem | None:
    """Return what a run's results.json says of the dynamic stem; None where it says nothing."""
    found = read_results(folder).get("stem")
    try:
        return None if not found else Stem(found["mask_spread"], tuple(found["live"]), found["images"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{Path(folder) / RESULTS_NAME} is not a record that training wrote ({error!r}).") from error


def _origin(record: dict[str, Any]) -> str:
    environment = record.get("environment", {})
    chosen = ["epoch chosen on these images"] if record.get("epoch_selected_on_validation") else []
    parts = [f"{name} {environment[name]}" for name in ("gmconv_zoo", "commit", "torch") if environment.get(name)]
    device = environment.get("gpu") or environment.get("processor")
    return ", ".join([RESULTS_NAME, *chosen, *parts, *([device] if device else [])])
