"""GMConv and S-GMConv MobileNetV2 for ImageNet (paper Table II); timm supplies the network."""

from functools import partial
from typing import Any

from timm.models import generate_default_cfgs
from timm.models._efficientnet_builder import decode_arch_def, resolve_act_layer, resolve_bn_args, round_channels
from timm.models.efficientnet import EfficientNet
from torch import nn

from ..weights.adapt import rename_by_order
from ._build import SigmaNoDecay, build_gmconv, default_cfgs_of, entrypoint

__all__ = ["GMConvMobileNetV2"]


class GMConvMobileNetV2(SigmaNoDecay, EfficientNet):
    """timm's MobileNetV2, whose convolutions carry Gaussian masks once it is built."""


default_cfgs = generate_default_cfgs(default_cfgs_of("mobilenetv2", first_conv="conv_stem", classifier="classifier"))

# MobileNetV2 at width 1.0 (arXiv 1801.04381, Table 2) in timm's notation
_ARCHITECTURE = [
    ["ds_r1_k3_s1_c16"],
    ["ir_r2_k3_s2_e6_c24"],
    ["ir_r3_k3_s2_e6_c32"],
    ["ir_r4_k3_s2_e6_c64"],
    ["ir_r3_k3_s1_e6_c96"],
    ["ir_r3_k3_s2_e6_c160"],
    ["ir_r1_k3_s1_e6_c320"],
]


def _create(variant: str, pretrained: bool, **kwargs: Any) -> GMConvMobileNetV2:
    norm_layer = kwargs.pop("norm_layer", None) or partial(nn.BatchNorm2d, **resolve_bn_args(kwargs))
    args: dict[str, Any] = {
        "block_args": decode_arch_def(_ARCHITECTURE),
        "num_features": 1280,
        "stem_size": 32,
        "round_chs_fn": round_channels,
        "norm_layer": norm_layer,
        "act_layer": resolve_act_layer(kwargs, "relu6"),
    }
    # torchvision's file holds the same layers in the same order
    args |= {"rename": rename_by_order, "feature_cfg": {"feature_cls": "list", "flatten_sequential": True}}
    return build_gmconv(GMConvMobileNetV2, variant, pretrained, **{**args, **kwargs})


gmconv_mobilenetv2 = entrypoint("gmconv_mobilenetv2", "MobileNetV2 1.0", _create)
sgmconv_mobilenetv2 = entrypoint("sgmconv_mobilenetv2", "MobileNetV2 1.0", _create)
