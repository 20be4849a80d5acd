"""AlexNet, plain and with Gaussian masks (paper Table II): torchvision's network with timm's interface.

One weird trick for parallelizing convolutional neural networks, arXiv 1404.5997. timm has no AlexNet.
"""

import re
from itertools import pairwise
from typing import Any

import torch
from timm.layers import SelectAdaptivePool2d, get_device_dtype
from timm.models import checkpoint_seq, generate_default_cfgs
from timm.models._features import feature_take_indices
from timm.models.vgg import VGG
from torch import Tensor, nn

from ..weights.adapt import StateDict
from ._build import SigmaNoDecay, build_gmconv, default_cfgs_of, entrypoint
from ._names import FAMILIES

__all__ = ["AlexNet"]

POOLS = ("avg", "max", "avgmax", "catavgmax")


class AlexNetMlp(nn.Module):
    """Pool to 6x6, then two fully connected layers with dropout before each.

    The pooling is one of `POOLS`; "catavgmax" doubles the first layer's inputs.
    """

    def __init__(self, in_channels: int, hidden: int, drop_rate: float, pool_type: str, **dd: Any) -> None:
        super().__init__()
        self.pool = SelectAdaptivePool2d(6, pool_type, flatten=True)
        self.drop1 = nn.Dropout(drop_rate)
        self.fc1 = nn.Linear(in_channels * 36 * self.pool.feat_mult(), hidden, **dd)
        self.act1 = nn.ReLU(inplace=True)
        self.drop2 = nn.Dropout(drop_rate)
        self.fc2 = nn.Linear(hidden, hidden, **dd)
        self.act2 = nn.ReLU(inplace=True)

    @torch.jit.ignore
    def reset_pool(self, pool_type: str) -> None:
        """Change the pooling to one of `POOLS`; the first layer starts anew if its number of inputs changes."""
        inputs = self.fc1.in_features // self.pool.feat_mult()
        self.pool = SelectAdaptivePool2d(6, pool_type, flatten=True).train(self.training)
        inputs *= self.pool.feat_mult()
        if inputs != self.fc1.in_features:
            layer = nn.Linear(inputs, self.fc1.out_features, **get_device_dtype(self.fc1))
            self.fc1 = layer.train(self.training)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, hidden) features of a (B, C, H, W) map."""
        x = self.act1(self.fc1(self.drop1(self.pool(x))))
        return self.act2(self.fc2(self.drop2(x)))


class AlexNet(SigmaNoDecay, VGG):
    """AlexNet as torchvision has it, 61.1 M parameters; a VGG of timm's with other layers and torchvision's head.

    Args:
        global_pool: one of `POOLS`, to 6x6 before the fully connected layers, or "" to end in the (B, 256, H', W') map.
        drop_rate: dropout before each of the fully connected layers.
        num_classes, in_chans, device, dtype: as timm's VGG has them.
    """

    # every convolution after the stem is a stage of its own
    conv_stages = (("features.3",), ("features.6",), ("features.8",), ("features.10",))

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.5,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        nn.Module.__init__(self)  # timm's constructor makes the layers of a VGG
        dd = {"device": device, "dtype": dtype}
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.drop_rate = drop_rate
        self.grad_checkpointing = False
        self.features = nn.Sequential(
            nn.Conv2d(in_chans, 64, 11, stride=4, padding=2, **dd),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2, **dd),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1, **dd),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1, **dd),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1, **dd),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
        )
        self.feature_info: list[dict[str, Any]] = [
            {"num_chs": 64, "reduction": 4, "module": "features.1"},
            {"num_chs": 192, "reduction": 8, "module": "features.4"},
            {"num_chs": 256, "reduction": 16, "module": "features.11"},
            {"num_chs": 256, "reduction": 32, "module": "features.12"},
        ]
        self.feature_ends = [1, 4, 11, 12]
        self.num_features = 256
        self.head_hidden_size = 4096
        self.global_pool = _checked_pool(global_pool, num_classes)
        self.pre_logits: Any = AlexNetMlp(256, self.head_hidden_size, drop_rate, global_pool or "avg", **dd)
        self.fc = _classifier(self.head_hidden_size, num_classes, dd)

    @torch.jit.ignore
    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return timm's patterns for layer-wise learning rates; `coarse` changes nothing, as there are no stages."""
        return {"stem": r"^features\.0\.", "blocks": [(r"^features\.(\d+)", None), (r"^pre_logits", (99999,))]}

    @torch.jit.ignore
    def get_classifier(self, name_only: bool = False) -> str | nn.Module:
        """Return the classifier, or its name."""
        return "fc" if name_only else self.fc

    @torch.jit.ignore
    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Give the network a new classifier on its own device, in its dtype and mode; without one for 0 classes.

        The pooling is one of `POOLS`, "" for the bare map without a classifier, or None for the present one (after a
        bare map, "avg"); ValueError for another one.
        """
        if global_pool is None:
            global_pool = self.global_pool or ("avg" if num_classes else "")
        self.num_classes = num_classes
        self.global_pool = pool = _checked_pool(global_pool, num_classes)
        if pool and isinstance(self.pre_logits, AlexNetMlp):  # dropped with the head otherwise
            self.pre_logits.reset_pool(pool)
        self.fc = _classifier(self.head_hidden_size, num_classes, get_device_dtype(self)).train(self.training)

    @torch.jit.ignore
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute segments in the backward pass instead of keeping their activations."""
        self.grad_checkpointing = enable

    @torch.jit.ignore
    def prune_intermediate_layers(
        self, indices: int | list[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Drop what follows the last tap that is wanted, and the head too, as timm's VGG does; return the taps kept."""
        wanted, deepest = feature_take_indices(len(self.feature_info), indices)
        self.features = self.features[: self.feature_ends[deepest] + 1]
        if prune_head or deepest < len(self.feature_info) - 1:
            self.num_features = self.head_hidden_size = self.feature_info[deepest]["num_chs"]
            self.pre_logits = nn.Identity()
            self.reset_classifier(0, "")
        return wanted

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the (B, 256, H', W') map of (B, C, H, W) images after the last max pooling."""
        if not torch.jit.is_scripting() and self.grad_checkpointing:
            # every segment begins with a pooling: an in-place ReLU, recomputed alone, would undo its own input
            starts = [0, *(end + 1 for end in self.feature_ends)]
            return checkpoint_seq([self.features[a:b] for a, b in pairwise(starts)], x)
        return self.features(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return the logits of a map, with pre_logits the classifier's input; the map itself if global_pool is ""."""
        if not self.global_pool:
            return x
        x = self.pre_logits(x)
        return x if pre_logits else self.fc(x)


default_cfgs = generate_default_cfgs(
    default_cfgs_of("alexnet", families=FAMILIES, first_conv="features.0", classifier="fc", pool_size=(6, 6))
)


def _create(variant: str, pretrained: bool, **kwargs: Any) -> AlexNet:
    taps = {"out_indices": (0, 1, 2, 3), "flatten_sequential": True}
    return build_gmconv(AlexNet, variant, pretrained, rename=_rename, feature_cfg=taps, **kwargs)


def _rename(state_dict: StateDict, model: nn.Module) -> StateDict:
    """Replace torchvision's names of the fully connected layers by ours."""
    names = {"classifier.1.": "pre_logits.fc1.", "classifier.4.": "pre_logits.fc2.", "classifier.6.": "fc."}
    for old, new in names.items():
        state_dict = {re.sub(f"^{re.escape(old)}", new, key): value for key, value in state_dict.items()}
    return state_dict


def _classifier(in_features: int, num_classes: int, dd: dict[str, Any]) -> nn.Module:
    return nn.Linear(in_features, num_classes, **dd) if num_classes > 0 else nn.Identity()


def _checked_pool(global_pool: str, num_classes: int) -> str:
    if num_classes and not global_pool:
        raise ValueError(f"num_classes={num_classes} with global_pool='': the classifier needs a pooling, e.g. 'avg'.")
    if global_pool and global_pool not in POOLS:
        raise ValueError(f"global_pool={global_pool!r}: pass '' or one of {POOLS}.")
    return global_pool


gmconv_alexnet = entrypoint("gmconv_alexnet", "AlexNet", _create)
sgmconv_alexnet = entrypoint("sgmconv_alexnet", "AlexNet", _create)
stdconv_alexnet = entrypoint("stdconv_alexnet", "AlexNet", _create)
