"""Any timm network as a detector's backbone: its features at strides 4 to 32 under a feature pyramid."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import timm
import torch
from timm.layers import convert_sync_batchnorm, freeze_batch_norm_2d
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from ..conversion.stages import stages_of
from ..saving.named import check_model_name, is_timm_name, naming_load_errors

__all__ = ["STRIDES", "PyramidBackbone", "create_body"]

STRIDES = (4, 8, 16, 32)
CHANNELS = 256
_BATCH_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)


def create_body(name: str, *, pretrained: bool, options: dict[str, Any] | None = None) -> nn.Module:
    """Build a timm network without its classifier that returns its features at strides 4, 8, 16 and 32.

    The name is timm's, or that of a folder or Hub repository that timm can build; options are further arguments of
    `timm.create_model`.

    Raises:
        ValueError: for an unknown name, or a network without features at these strides.
    """
    check_model_name(name)
    if not is_timm_name(name) and ":" not in name:
        name = f"local-dir:{name}" if Path(name).is_dir() else f"hf-hub:{name}"
    keywords = {"features_only": True, **(options or {})}
    try:
        with naming_load_errors(name), torch.device("meta"):
            shape: Any = timm.create_model(name, pretrained=False, **keywords)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"backbone={name!r}: timm cannot take features from it ({error}).") from error
    last = {entry["reduction"]: index for index, entry in enumerate(shape.feature_info.info)}
    if not set(STRIDES) <= set(last):
        raise ValueError(
            f"backbone={name!r} has features at strides {sorted(last)}, but a detector needs {STRIDES}: pass a network "
            "with these, e.g. 'resnet50', 'convnext_tiny' or 'mobilenetv2_100'."
        )
    with naming_load_errors(name):
        body = timm.create_model(name, pretrained=pretrained, out_indices=tuple(last[s] for s in STRIDES), **keywords)
    if getattr(body, "output_fmt", "NCHW") != "NCHW":
        raise ValueError(f"backbone={name!r} returns channels-last features: pass a convolutional network.")
    return body


class PyramidBackbone(nn.Module):
    """Features of a network at four strides, and a fifth level below them, all with the same number of channels.

    Args:
        body: see `create_body`.
        batch_norm: "frozen" (constants), "eval" (fixed statistics, trainable weight and bias), "sync" (statistics of
            the batch over all processes) or "train" (statistics of the process's batch).
        frozen_stages: -1 to train everything, 0 to freeze the stem, n to freeze the stem and the first n stages. The
            norms of a frozen stage use their stored statistics.
        norm_eps: replaces the epsilon of all batch norms; None keeps it.

    Raises:
        ValueError: for a value outside these.
    """

    def __init__(self, body: nn.Module, *, batch_norm: str, frozen_stages: int, norm_eps: float | None = None) -> None:
        super().__init__()
        channels = body.feature_info.channels()  # type: ignore[union-attr,operator]
        _freeze(body, frozen_stages)
        for module in body.modules():
            if norm_eps is not None and isinstance(module, _BATCH_NORMS):
                # torch refuses 0, in training or (2.11) always; the smallest number changes no variance but 0
                module.eps = max(norm_eps, torch.finfo(torch.float32).tiny)
        if batch_norm == "frozen":
            body = freeze_batch_norm_2d(body)
        elif batch_norm == "sync":
            body = convert_sync_batchnorm(body)
        self.batch_norm = batch_norm
        self.out_channels = CHANNELS
        self.body = body
        self.fpn = FeaturePyramidNetwork(channels, CHANNELS, extra_blocks=LastLevelMaxPool())

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) to the levels "0" to "3" and "pool", each (B, 256, H / stride, W / stride)."""
        return self.fpn(OrderedDict((str(level), feature) for level, feature in enumerate(self.body(x))))

    def train(self, mode: bool = True) -> "PyramidBackbone":
        """Set the mode; norms that are frozen, or whose statistics are fixed, stay in eval mode."""
        super().train(mode)
        for module in self.body.modules():
            if isinstance(module, _BATCH_NORMS):
                trains = any(parameter.requires_grad for parameter in module.parameters())
                module.train(mode and trains and self.batch_norm != "eval")
        return self


def _freeze(body: nn.Module, frozen_stages: int) -> None:
    stages = stages_of(body)
    depth = max(stages.values(), default=-1)
    if isinstance(frozen_stages, bool) or not isinstance(frozen_stages, int) or not -1 <= frozen_stages <= depth:
        known = f"-1 (nothing), 0 (the stem) to {depth}" if stages else "-1: the backbone's stages are unknown"
        raise ValueError(f"frozen_stages={frozen_stages!r}: pass {known}.")
    if frozen_stages < 0:
        return
    for name, module in body.named_modules():
        if stages.get(name, 0) <= frozen_stages:
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)
