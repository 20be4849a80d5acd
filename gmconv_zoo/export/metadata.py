"""What a program needs beside the numbers: how images are prepared and what the outputs are called."""

import json
from typing import Any

from torch import nn

from .._version import __version__
from ..conversion import conversion_report
from ..images.data_config import data_config
from ..saving.label_names import label_names

__all__ = ["METADATA_FILE", "metadata_of"]

# the extra file of a TorchScript archive and of an exported program
METADATA_FILE = "gmconv_zoo.json"
_PREPROCESSING = ("mean", "std", "interpolation", "crop_pct", "crop_mode")


def metadata_of(model: nn.Module, input_size: tuple[int, int, int]) -> dict[str, Any]:
    """Return the JSON-ready description that is embedded in an exported file.

    Returns:
        ``model`` (the network's name), ``input_size``, timm's preprocessing (``mean`` and ``std`` for pixels in [0, 1],
        ``interpolation``, ``crop_pct``, ``crop_mode``), ``labels`` in the order of the outputs, ``license``,
        ``masks`` ("dynamic" layers left in the graph, "static" ones not folded) and ``producer``.
    """
    cfg: Any = getattr(model, "pretrained_cfg", None) or {}
    # no tag: the configuration keeps it after finetuning, and has one for random weights too
    name = cfg.get("architecture") or type(model).__name__
    described: dict[str, Any] = {"model": name, "input_size": list(input_size)}
    if cfg:
        preprocessing = data_config(model)
        described |= {key: preprocessing[key] for key in _PREPROCESSING if key in preprocessing}
    gives_maps = hasattr(model, "feature_info") and not hasattr(model, "get_classifier")  # timm's feature extractors
    if isinstance(getattr(model, "num_classes", None), int) and model.num_classes > 0 and not gives_maps:  # type: ignore[operator]
        described["labels"] = label_names(model)
    if cfg.get("license"):
        described["license"] = cfg["license"]
    masks = [row.target for row in conversion_report(model).converted]
    described["masks"] = {kind: masks.count(kind) for kind in ("dynamic", "static")}
    described["producer"] = f"gmconv_zoo {__version__}"
    return json.loads(json.dumps(described))  # as it will be read back: lists for tuples
