"""What is exported of a network: a copy on the CPU, in eval mode, its masks folded in, and how it is to be used."""

import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .._version import __version__
from ..conversion import conversion_report
from ..conversion import fuse as fold_static_masks
from ..images.data_config import data_config
from ..layers import DGMConv2d, copy_network
from ..saving.config import check_unwrapped
from ..saving.label_names import label_names

__all__ = ["METADATA_FILE", "example_images", "metadata_of", "outputs_of", "prepare"]

# the extra file of a TorchScript archive and of an exported program
METADATA_FILE = "gmconv_zoo.json"
_PREPROCESSING = ("mean", "std", "interpolation", "crop_pct", "crop_mode")


def prepare(model: nn.Module, *, fuse: bool = True) -> nn.Module:
    """Return a copy of a network as it is exported: on the CPU, in eval mode, its dynamic layers free to choose a form.

    Raises:
        ValueError: for a wrapped network, one on the meta device, or one that is not float32.
    """
    check_unwrapped(model, "exported")
    tensors = [*model.parameters(), *model.buffers()]
    if any(tensor.is_meta for tensor in tensors):
        raise ValueError("the network is on the meta device and has no weights: load them before exporting.")
    dtypes = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
    if dtypes - {torch.float32}:
        names = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in dtypes))
        raise ValueError(f"the network holds {names} tensors: export model.float(), and lower the precision after.")
    net = copy_network(model).cpu().eval().requires_grad_(False)
    for module in net.modules():
        if isinstance(module, DGMConv2d):
            module.form = None
    return fold_static_masks(net, inplace=True) if fuse else net


def example_images(input_size: tuple[int, int, int], batch: int, *, seed: int = 0) -> Tensor:
    """Return normally distributed images whose channel means differ from sample to sample, as dynamic masks need."""
    generator = torch.Generator().manual_seed(seed)
    means: Any = torch.linspace(-1, 1, batch).reshape(-1, 1, 1, 1) if batch > 1 else 0.5
    return torch.randn(batch, *input_size, generator=generator) + means


@torch.no_grad()
def outputs_of(net: Callable[[Tensor], Any], images: Tensor) -> list[Tensor]:
    """Return the outputs of a network for (B, C, H, W) images as a list, also where there is a single one."""
    outputs = net(images)
    return [outputs] if isinstance(outputs, Tensor) else list(outputs)


def metadata_of(model: nn.Module, input_size: tuple[int, int, int]) -> dict[str, Any]:
    """Return the JSON-ready description that is embedded in an exported file.

    It has ``model`` (the network's name), ``input_size``, timm's preprocessing for pixels in [0, 1], ``labels`` in the
    order of the outputs, ``license``, ``masks`` (layers that still have one) and ``producer``.
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
