"""The fourteen detectors of the paper's Table V; Table III's four are among them."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from .build import build

__all__ = ["Preset", "build_preset", "preset_arguments", "presets"]


@dataclass(frozen=True)
class Preset:
    """One configuration of Table V, all with a ResNet-50.

    Attributes:
        name: what `build_preset` takes.
        head: "faster_rcnn" or "cascade_rcnn".
        stages: stages with GMConv, the stem with them; empty for none.
        dcn_stages: stages with deformable convolution.
        paper_ap: AP on COCO val2017 in percent that the paper reports. It is not a result of this package.
    """

    name: str
    head: str
    stages: tuple[int, ...]
    dcn_stages: tuple[int, ...]
    paper_ap: float


# Suffix of the name, stages with GMConv, stages with deformable convolution, the paper's AP of Faster and Cascade.
_TABLE_V: tuple[tuple[str, tuple[int, ...], tuple[int, ...], float, float], ...] = (
    ("std", (), (), 37.0, 40.1),
    ("gmconv_l1", (1,), (), 37.9, 40.6),
    ("gmconv_l1_l2", (1, 2), (), 37.9, 40.7),
    ("gmconv_l1_l3", (1, 2, 3), (), 37.8, 40.6),
    ("gmconv_l1_l4", (1, 2, 3, 4), (), 37.8, 40.6),
    ("dcn", (), (2, 3, 4), 41.1, 43.3),
    ("gmconv_l1_dcn", (1,), (2, 3, 4), 41.5, 43.8),
)
_PRESETS = {
    f"{short}_{suffix}": Preset(f"{short}_{suffix}", f"{short}_rcnn", stages, dcn_stages, ap)
    for column, short in enumerate(("faster", "cascade"))
    for suffix, stages, dcn_stages, *aps in _TABLE_V
    for ap in aps[column : column + 1]
}


def presets() -> list[Preset]:
    """Return the configurations of Table V, Faster R-CNN first."""
    return list(_PRESETS.values())


def build_preset(name: str, **options: Any) -> nn.Module:
    """Build a configuration of Table V, with ``parity="mmdet_paper"`` because the paper used mmdetection.

    Args:
        name: one of `presets`, e.g. "faster_gmconv_l1".
        **options: other arguments of `gmconv_zoo.detection.build`; they replace those of the configuration.

    Raises:
        ValueError: for an unknown name, and as `gmconv_zoo.detection.build`.
    """
    return build(**{**preset_arguments(name), **options})


def preset_arguments(name: str) -> dict[str, Any]:
    """Return the arguments of `gmconv_zoo.detection.build` that `build_preset` uses; an unknown name is an error."""
    if name not in _PRESETS:
        raise ValueError(f"preset {name!r} does not exist: pass one of {', '.join(_PRESETS)}.")
    preset = _PRESETS[name]
    masks = {"stem": "dynamic", "body": "static", "stages": preset.stages} if preset.stages else {}
    network = {"head": preset.head, "backbone": "resnet50", "dcn_stages": preset.dcn_stages}
    return {**network, **masks, "parity": "mmdet_paper"}
