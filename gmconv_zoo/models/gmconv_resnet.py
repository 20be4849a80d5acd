"""GMConv and S-GMConv ResNets for ImageNet (paper Table II); timm supplies the network.

Residual branches do not start at zero, as in torchvision's networks, which the paper trains; timm's own start at zero
(``zero_init_last=True``).
"""

from typing import Any

from timm.models import generate_default_cfgs
from timm.models.resnet import BasicBlock, Bottleneck, ResNet

from ._build import SigmaNoDecay, build_gmconv, default_cfgs_of, entrypoint

__all__ = ["GMConvResNet"]


class GMConvResNet(SigmaNoDecay, ResNet):
    """timm's ResNet, whose convolutions carry Gaussian masks once it is built."""


default_cfgs = generate_default_cfgs(default_cfgs_of("resnet18", "resnet50", first_conv="conv1", classifier="fc"))


def _create(variant: str, pretrained: bool, **kwargs: Any) -> GMConvResNet:
    return build_gmconv(GMConvResNet, variant, pretrained, **{"zero_init_last": False, **kwargs})


gmconv_resnet18 = entrypoint("gmconv_resnet18", "ResNet-18", _create, block=BasicBlock, layers=(2, 2, 2, 2))
sgmconv_resnet18 = entrypoint("sgmconv_resnet18", "ResNet-18", _create, block=BasicBlock, layers=(2, 2, 2, 2))
gmconv_resnet50 = entrypoint("gmconv_resnet50", "ResNet-50", _create, block=Bottleneck, layers=(3, 4, 6, 3))
sgmconv_resnet50 = entrypoint("sgmconv_resnet50", "ResNet-50", _create, block=Bottleneck, layers=(3, 4, 6, 3))
