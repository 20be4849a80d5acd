"""ResNets for 32x32 images, plain and with Gaussian masks (paper Table I); timm has none.

ResNet-20 and -56 are those of He et al. (arXiv 1512.03385, Sec. 4.2) with parameter-free shortcuts. ResNet-18 is
the ImageNet network with a 3x3 stem and no max pooling, as in Cutout (arXiv 1708.04552).
"""

from typing import Any

from timm.layers import DropPath, calculate_drop_path_rates, create_classifier
from timm.models import generate_default_cfgs
from timm.models._features import feature_take_indices
from timm.models.resnet import BasicBlock, ResNet
from torch import Tensor, nn
from torch.nn import functional as F

from ._build import SigmaNoDecay, build_gmconv, default_cfgs_of, entrypoint
from ._names import FAMILIES

__all__ = ["CifarResNet", "PadShortcut"]


class PadShortcut(nn.Module):
    """Option A of He et al.: subsample by the stride and pad new channels with zeros, half on either side."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.before = (out_channels - in_channels) // 2
        self.after = out_channels - in_channels - self.before

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out_channels, H / stride, W / stride) for a (B, C, H, W) input."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], [0, 0, 0, 0, self.before, self.after])


class CifarResNet(SigmaNoDecay, ResNet):
    """A residual network of basic blocks whose stem keeps the image's resolution; otherwise timm's ResNet.

    Args:
        layers: number of blocks of each of three or four stages.
        channels: number of output channels of each stage; the first is that of the stem too.
        shortcut: "pad" (parameter-free) or "conv" (1x1 convolution and norm) where the shape changes.
        kernel_size: height and width of every convolution in taps, odd; the paper's networks have 3.
        zero_init_last: start every residual branch at zero; not by default, as in the paper's baselines.
        num_classes, in_chans, global_pool, drop_rate, drop_path_rate, device, dtype: as timm's ResNet has them.

    Raises:
        ValueError: for another number of stages, or a kernel size that is not odd.
    """

    def __init__(
        self,
        layers: tuple[int, ...],
        channels: tuple[int, ...],
        shortcut: str = "pad",
        kernel_size: int = 3,
        num_classes: int = 10,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        zero_init_last: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={kernel_size}: pass an odd number of taps, e.g. 3.")
        if len(layers) not in (3, 4) or len(channels) != len(layers):
            raise ValueError(f"layers={layers}, channels={channels}: pass both for each of three or four stages.")
        nn.Module.__init__(self)  # timm's constructor makes the stem and the four stages of ImageNet's networks
        dd = {"device": device, "dtype": dtype}
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.drop_rate = drop_rate
        self.grad_checkpointing = False

        rates: Any = iter(calculate_drop_path_rates(drop_path_rate, sum(layers)))
        width = channels[0]
        stem: Any = nn.Conv2d(in_chans, width, kernel_size, padding=kernel_size // 2, bias=False, **dd)
        self.conv1 = stem
        self.bn1 = nn.BatchNorm2d(width, **dd)
        self.act1 = nn.ReLU(inplace=True)
        self.maxpool: Any = nn.Identity()
        self.feature_info = [{"num_chs": width, "reduction": 1, "module": "act1"}]
        for number, (depth, out) in enumerate(zip(layers, channels, strict=True), start=1):
            stride = 1 if number == 1 else 2
            blocks = [
                _block(width if i == 0 else out, out, stride if i == 0 else 1, shortcut, kernel_size, next(rates), dd)
                for i in range(depth)
            ]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            self.feature_info.append({"num_chs": out, "reduction": 2 ** (number - 1), "module": f"layer{number}"})
            width = out
        if len(layers) == 3:
            self.layer4 = nn.Sequential()

        self.num_features = width
        self.global_pool, self.fc = create_classifier(width, num_classes, pool_type=global_pool, **dd)
        self.head_hidden_size = width * self.global_pool.feat_mult()
        self.init_weights(zero_init_last=zero_init_last)

    def forward_intermediates(
        self, x: Tensor, indices: int | list[int] | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Feature maps at the taps of `feature_info`, as timm's ResNet returns them."""
        return super().forward_intermediates(x, self._timms_taps(indices), *args, **kwargs)

    def prune_intermediate_layers(self, indices: int | list[int] = 1, *args: Any, **kwargs: Any) -> list[int]:
        """Drop what lies behind the last tap that is wanted, as timm's ResNet does; returns the taps kept."""
        super().prune_intermediate_layers(self._timms_taps(indices), *args, **kwargs)
        return feature_take_indices(len(self.feature_info), indices)[0]

    def _timms_taps(self, indices: int | list[int] | None) -> list[int]:
        """The numbers of taps in timm's network of four stages: the last tap lies behind the fourth stage."""
        taps, last = len(self.feature_info), len(self.feature_info) - 1
        return [4 if tap == last else tap for tap in feature_take_indices(taps, indices)[0]]


_COMMON: dict[str, Any] = {
    "families": FAMILIES,
    "num_classes": 10,
    "input_size": (3, 32, 32),
    "crop_pct": 1.0,
    "interpolation": "bilinear",
    "mean": (0.4914, 0.4822, 0.4465),  # channel statistics of CIFAR-10's training images
    "std": (0.2470, 0.2435, 0.2616),
    "classifier": "fc",
    "first_conv": "conv1",
}

default_cfgs = generate_default_cfgs(
    {
        **default_cfgs_of("cifar_resnet20", "cifar_resnet56", pool_size=(8, 8), **_COMMON),
        **default_cfgs_of("cifar_resnet18", pool_size=(4, 4), **_COMMON),
    }
)


def _create(variant: str, pretrained: bool, *, layers: tuple[int, ...], **kwargs: Any) -> CifarResNet:
    taps = {"out_indices": tuple(range(len(layers) + 1))}
    return build_gmconv(CifarResNet, variant, pretrained, feature_cfg=taps, layers=layers, **kwargs)


def _block(
    width: int, out: int, stride: int, shortcut: str, kernel_size: int, drop_path: float, dd: dict[str, Any]
) -> BasicBlock:
    downsample: nn.Module | None = None
    if stride != 1 or width != out:
        if shortcut == "pad":
            downsample = PadShortcut(width, out, stride)
        else:
            conv = nn.Conv2d(width, out, 1, stride=stride, bias=False, **dd)
            downsample = nn.Sequential(conv, nn.BatchNorm2d(out, **dd))
    block = BasicBlock(width, out, stride, downsample, drop_path=DropPath(drop_path) if drop_path else None, **dd)
    if kernel_size != 3:
        options = {"padding": kernel_size // 2, "bias": False, **dd}
        block.conv1 = nn.Conv2d(width, out, kernel_size, stride, **options)
        block.conv2 = nn.Conv2d(out, out, kernel_size, **options)
    return block


_RESNET20 = {"layers": (3, 3, 3), "channels": (16, 32, 64)}
_RESNET56 = {"layers": (9, 9, 9), "channels": (16, 32, 64)}
_RESNET18: dict[str, Any] = {"layers": (2, 2, 2, 2), "channels": (64, 128, 256, 512), "shortcut": "conv"}
gmconv_cifar_resnet20 = entrypoint("gmconv_cifar_resnet20", "CIFAR ResNet-20", _create, **_RESNET20)
sgmconv_cifar_resnet20 = entrypoint("sgmconv_cifar_resnet20", "CIFAR ResNet-20", _create, **_RESNET20)
stdconv_cifar_resnet20 = entrypoint("stdconv_cifar_resnet20", "CIFAR ResNet-20", _create, **_RESNET20)
gmconv_cifar_resnet56 = entrypoint("gmconv_cifar_resnet56", "CIFAR ResNet-56", _create, **_RESNET56)
sgmconv_cifar_resnet56 = entrypoint("sgmconv_cifar_resnet56", "CIFAR ResNet-56", _create, **_RESNET56)
stdconv_cifar_resnet56 = entrypoint("stdconv_cifar_resnet56", "CIFAR ResNet-56", _create, **_RESNET56)
gmconv_cifar_resnet18 = entrypoint("gmconv_cifar_resnet18", "CIFAR ResNet-18", _create, **_RESNET18)
sgmconv_cifar_resnet18 = entrypoint("sgmconv_cifar_resnet18", "CIFAR ResNet-18", _create, **_RESNET18)
stdconv_cifar_resnet18 = entrypoint("stdconv_cifar_resnet18", "CIFAR ResNet-18", _create, **_RESNET18)
