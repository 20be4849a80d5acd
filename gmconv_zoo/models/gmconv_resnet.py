"""GMConv and S-GMConv ResNets for ImageNet (paper Table II); timm supplies the network.

Residual branches do not start at zero, as in torchvision's networks, which the paper trains; timm's own start at zero
(``zero_init_last=True``).
"""

from typing import Any

from timm.models import generate_default_cfgs, register_model
from timm.models.resnet import BasicBlock, Bottleneck, ResNet

from ._build import SigmaNoDecay, build_gmconv, default_cfgs_of

__all__ = ["GMConvResNet"]


class GMConvResNet(SigmaNoDecay, ResNet):
    """timm's ResNet, whose convolutions carry Gaussian masks once it is built."""


_COMMON: dict[str, Any] = {"first_conv": "conv1", "classifier": "fc"}

default_cfgs = generate_default_cfgs(
    default_cfgs_of("gmconv_resnet18", "sgmconv_resnet18", "gmconv_resnet50", "sgmconv_resnet50", **_COMMON)
)


def _create(variant: str, pretrained: bool, **kwargs: Any) -> GMConvResNet:
    return build_gmconv(GMConvResNet, variant, pretrained, **{"zero_init_last": False, **kwargs})


@register_model
def gmconv_resnet18(pretrained: bool = False, **kwargs: Any) -> GMConvResNet:
    """ResNet-18 with a dynamic stem and static masks elsewhere."""
    args = {"block": BasicBlock, "layers": (2, 2, 2, 2)}
    return _create("gmconv_resnet18", pretrained, **{**args, **kwargs})


@register_model
def sgmconv_resnet18(pretrained: bool = False, **kwargs: Any) -> GMConvResNet:
    """ResNet-18 with static masks everywhere."""
    args = {"block": BasicBlock, "layers": (2, 2, 2, 2)}
    return _create("sgmconv_resnet18", pretrained, **{**args, **kwargs})


@register_model
def gmconv_resnet50(pretrained: bool = False, **kwargs: Any) -> GMConvResNet:
    """ResNet-50 with a dynamic stem and static masks elsewhere."""
    args = {"block": Bottleneck, "layers": (3, 4, 6, 3)}
    return _create("gmconv_resnet50", pretrained, **{**args, **kwargs})


@register_model
def sgmconv_resnet50(pretrained: bool = False, **kwargs: Any) -> GMConvResNet:
    """ResNet-50 with static masks everywhere."""
    args = {"block": Bottleneck, "layers": (3, 4, 6, 3)}
    return _create("sgmconv_resnet50", pretrained, **{**args, **kwargs})
