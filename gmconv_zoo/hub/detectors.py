"""Publishing detectors: the card, made from what a detector records of itself, and the check of the folder."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..conversion import present_conversion
from ..saving import load
from ..saving.detectors import main_network
from ..weights.specs import WeightSpec
from .cards import METHOD, Kind, eval_results, fill_card, stem_line
from .measured import DetectionMetric

__all__ = ["check_detector", "check_tensors", "detector_card"]

_TASK = "object-detection"
_HEADS = {
    "faster_rcnn": ("Faster R-CNN", "https://arxiv.org/abs/1506.01497"),
    "cascade_rcnn": ("Cascade R-CNN", "https://arxiv.org/abs/1712.00726"),
}
_MASKS: dict[Kind, str] = {
    "plain": "no Gaussian masks",
    "untrained": "Gaussian masks that were not trained: every sigma still has its initial value",
    "mask-trained": "Gaussian masks that were trained",
}
_NORMS = {
    "frozen": "constants",
    "eval": "stored statistics, weight and bias trained",
    "train": "trained",
    "sync": "trained, with the statistics of all processes",
}


def detector_card(
    detector: Any, spec: WeightSpec, kind: Kind, metric: DetectionMetric | None, *, start: str = ""
) -> str:
    """Return the card of a detector, see `fill_card`."""
    plan = detector.gmconv_plan
    head, _ = _HEADS[plan["head"]]
    return fill_card(
        "detector_card_template.md.jinja",
        spec,
        {
            "library_name": "gmconv_zoo",
            "tags": [_TASK, "gmconv"],
            "eval_results": eval_results(metric.values, metric.dataset, _TASK, "mAP") if metric else None,
        },
        start=start,
        repo=spec.hf_hub_id,
        title=f"hf-hub:{spec.hf_hub_id}: {head} on {plan['backbone']}",
        headline=f"{head} with a feature pyramid on {plan['backbone']}, with {_MASKS[kind]}. Source of the weights: "
        f"{spec.source}.",
        details=_details(detector, spec),
        metric=metric,
    )


def check_tensors(written: nn.Module, reloaded: nn.Module, folder: Path) -> None:
    """Compare the tensors of a network that was written into a folder with those of the one that was read from it."""
    expected, found = written.state_dict(), reloaded.state_dict()
    if list(expected) != list(found) or not all(torch.equal(expected[key], found[key]) for key in expected):
        raise RuntimeError(f"{folder}: the tensors read back from the staged folder are not those that were written.")


@torch.inference_mode()
def check_detector(detector: nn.Module, folder: Path) -> None:
    """Load a folder as a user will, and compare it with the detector in memory; RuntimeError when they differ."""
    reloaded = load(folder)
    check_tensors(detector, reloaded, folder)
    plans = [json.dumps(net.gmconv_plan, sort_keys=True) for net in (detector, reloaded)]
    if plans[0] != plans[1]:
        raise RuntimeError(f"{folder}: the settings read back from the staged folder are not those that were written.")
    images = [torch.rand(3, 60, 80, generator=torch.Generator().manual_seed(0))]
    (own,), (other,) = detector.eval()(images), reloaded(images)
    if not all(torch.equal(own[key], other[key]) for key in own):
        raise RuntimeError(f"{folder}: the detector read back from the staged folder finds other boxes.")


def _details(detector: Any, spec: WeightSpec) -> dict[str, str]:
    plan, conversion = detector.gmconv_plan, present_conversion(main_network(detector))
    head, paper = _HEADS[plan["head"]]
    deformed = ", ".join(map(str, plan["dcn_stages"]))
    details = {
        "Detector": f"{head}, {paper}, with a feature pyramid",
        "Backbone": plan["backbone"],
        "GMConv": _masks(conversion.to_dict() if conversion is not None and conversion.masks_anything else {}),
        "Deformable convolution": f"version {plan['dcn_version']} in stages {deformed}" if deformed else "none",
        "Batch norms of the backbone": _NORMS[plan["parity"]["batch_norm"]],
        "Image size": f"shorter side {plan['min_size']} pixels, longer side at most {plan['max_size']}",
        "Classes": ", ".join(plan["categories"]) or f"{plan['num_classes'] - 1}, whose names are not recorded",
        "Parameters": f"{sum(parameter.numel() for parameter in detector.parameters()):,}",
        "Method": METHOD,
        "Original weights": spec.source,
    }
    if spec.stem is not None:
        details["Dynamic stem"] = stem_line(spec.stem)
    return details


def _masks(conversion: dict[str, Any]) -> str:
    if not conversion:
        return "none"
    stages = conversion["stages"]
    where = "all stages" if stages is None else f"stage{'s' * (len(stages) > 1)} {', '.join(map(str, stages))}"
    parts = {"the stem": conversion["stem"], where: conversion["body"]}
    return ", ".join(f"{kind} in {place}" for place, kind in parts.items() if kind)
