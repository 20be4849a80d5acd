"""GMConv and S-GMConv ConvNeXts for ImageNet (arXiv 2201.03545), with 7x7 depthwise kernels; timm supplies the network.

The GMConv paper does not train them: they are here because its gains grow with the kernel.
"""

from typing import Any

from timm.models import generate_default_cfgs
from timm.models.convnext import ConvNeXt

from ._build import SigmaNoDecay, build_gmconv, default_cfgs_of, entrypoint

__all__ = ["GMConvConvNeXt"]


class GMConvConvNeXt(SigmaNoDecay, ConvNeXt):
    """timm's ConvNeXt, whose convolutions carry Gaussian masks once it is built."""


default_cfgs = generate_default_cfgs(
    default_cfgs_of("convnext_atto", "convnext_tiny", first_conv="stem.0", classifier="head.fc")
)


def _create(variant: str, pretrained: bool, **kwargs: Any) -> GMConvConvNeXt:
    taps = {"out_indices": (0, 1, 2, 3), "flatten_sequential": True}
    return build_gmconv(GMConvConvNeXt, variant, pretrained, feature_cfg=taps, **kwargs)


# timm's two sizes; only the small one has its pointwise layers as 1x1 convolutions
_ATTO: dict[str, Any] = {"depths": (2, 2, 6, 2), "dims": (40, 80, 160, 320), "conv_mlp": True}
_TINY: dict[str, Any] = {"depths": (3, 3, 9, 3), "dims": (96, 192, 384, 768)}
gmconv_convnext_atto = entrypoint("gmconv_convnext_atto", "ConvNeXt-Atto", _create, **_ATTO)
sgmconv_convnext_atto = entrypoint("sgmconv_convnext_atto", "ConvNeXt-Atto", _create, **_ATTO)
gmconv_convnext_tiny = entrypoint("gmconv_convnext_tiny", "ConvNeXt-Tiny", _create, **_TINY)
sgmconv_convnext_tiny = entrypoint("sgmconv_convnext_tiny", "ConvNeXt-Tiny", _create, **_TINY)
