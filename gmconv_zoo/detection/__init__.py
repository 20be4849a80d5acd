"""Object detection: Faster and Cascade R-CNN on any timm backbone, with GMConv by stage (Tables III and V)."""

from .build import build
from .parity import Parity
from .presets import Preset, build_preset, presets

__all__ = ["Parity", "Preset", "build", "build_preset", "presets"]
