"""ResNets for 32x32 images, plain and with Gaussian masks (paper Table I); timm has none.

ResNet-20 and -56 are those of He et al. (arXiv 1512.03385, Sec. 4.2) with parameter-free shortcuts. ResNet-18 is
the ImageNet network with a 3x3 stem and no max pooling, as in Cutout (arXiv 1708.04552).
"""

from typing import TYPE_CHECKING, Any

import torch
from timm.layers import DropPath, calculate_drop_path_rates, create_classifier, get_device_dtype
from timm.models import generate_default_cfgs, register_model
from timm.models.resnet import BasicBlock
from torch import Tensor, nn
from torch.nn import functional as F

from ..weights.adapt import StateDict
from ._base import ChainNet
from ._build import MASKS, SigmaNoDecay, build_gmconv, default_cfgs_of

__all__ = ["CifarResNet", "PadShortcut"]

# Channel statistics of CIFAR-10's training images
CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class PadShortcut(nn.Module):
    """Option A of He et al.: subsample by the stride and pad new channels with zeros, half on either side.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, at least as many.
        stride: step of the subsampling, in pixels.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.before = (out_channels - in_channels) // 2
        self.after = out_channels - in_channels - self.before

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out_channels, H / stride, W / stride) for a (B, C, H, W) input."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], [0, 0, 0, 0, self.before, self.after])


class CifarResNet(SigmaNoDecay, ChainNet):
    """A residual network of basic blocks whose stem keeps the image's resolution.

    Args:
        layers: number of blocks of each of three or four stages.
        channels: number of output channels of each stage; the first is that of the stem too.
        shortcut: "pad" (parameter-free) or "conv" (1x1 convolution and norm) where the shape changes.
        kernel_size: height and width of every convolution in taps, odd; the paper's networks have 3.
        num_classes: outputs of the classifier, 0 for none.
        in_chans: image channels.
        global_pool: one of timm's pooling types, "" for none.
        drop_rate: dropout before the classifier.
        drop_path_rate: stochastic depth of the last block, growing linearly from 0 at the first, in [0, 1).
        zero_init_last: start every residual branch at zero; not by default, as in the paper's baselines.
        device, dtype: device and data type of every tensor.

    Raises:
        ValueError: for another number of stages, or a kernel size that is not odd.
    """

    if TYPE_CHECKING:  # made by add_module; TorchScript would read annotations
        layer1: nn.Module
        layer2: nn.Module
        layer3: nn.Module
        layer4: nn.Module

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
        super().__init__()
        dd = {"device": device, "dtype": dtype}
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.drop_rate = drop_rate
        self.grad_checkpointing = False

        rates: Any = iter(calculate_drop_path_rates(drop_path_rate, sum(layers)))
        width = channels[0]
        self.conv1 = nn.Conv2d(in_chans, width, kernel_size, padding=kernel_size // 2, bias=False, **dd)
        self.bn1 = nn.BatchNorm2d(width, **dd)
        self.act1 = nn.ReLU(inplace=True)
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
            self.layer4 = nn.Identity()

        self.num_features = width
        self.global_pool, self.fc = create_classifier(width, num_classes, pool_type=global_pool, **dd)
        self.head_hidden_size = width * self.global_pool.feat_mult()
        self.init_weights(zero_init_last=zero_init_last)

    @torch.jit.ignore
    def init_weights(self, zero_init_last: bool = False) -> None:
        """Initialise every kernel as He et al. do, and optionally the last norm of every block with 0."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init_last and isinstance(module, BasicBlock):
                module.zero_init_last()

    @torch.jit.ignore
    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return timm's patterns for layer-wise learning rates, by stage if `coarse` and otherwise by block."""
        return {"stem": r"^conv1|bn1", "blocks": r"^layer(\d+)" if coarse else r"^layer(\d+)\.(\d+)"}

    @torch.jit.ignore
    def get_classifier(self, name_only: bool = False) -> str | nn.Module:
        """Return the classifier, or its name."""
        return "fc" if name_only else self.fc

    @torch.jit.ignore
    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Give the network a new classifier on its own device, in its dtype and mode.

        Args:
            num_classes: outputs, 0 for none.
            global_pool: one of timm's pooling types; None keeps the present one.
        """
        self.num_classes = num_classes
        pool = self.global_pool.pool_type if global_pool is None else global_pool
        self.global_pool, self.fc = create_classifier(
            self.num_features, num_classes, pool_type=pool, **get_device_dtype(self)
        )
        self.head_hidden_size = self.num_features * self.global_pool.feat_mult()
        self.global_pool.train(self.training)
        self.fc.train(self.training)

    @torch.jit.ignore
    def chain(self) -> list[tuple[str, nn.Module]]:
        stem = nn.Sequential(self.conv1, self.bn1, self.act1)
        return [("act1", stem), *((info["module"], getattr(self, info["module"])) for info in self.feature_info[1:])]

    @torch.jit.ignore
    def drop_behind(self, tap: str) -> None:
        names = [info["module"] for info in self.feature_info]
        for name in names[names.index(tap) + 1 :]:
            setattr(self, name, nn.Identity())

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last stage's (B, num_features, H', W') map of (B, C, H, W) images."""
        if not torch.jit.is_scripting() and self.grad_checkpointing:
            return self._run_chain(x)
        x = self.act1(self.bn1(self.conv1(x)))
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        return self.layer4(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return the logits of a map, or with pre_logits the classifier's input."""
        x = self.global_pool(x)
        if self.drop_rate:
            x = F.dropout(x, p=float(self.drop_rate), training=self.training)
        return x if pre_logits else self.fc(x)


_COMMON: dict[str, Any] = {
    "num_classes": 10, "input_size": (3, 32, 32), "crop_pct": 1.0, "interpolation": "bilinear",
    "mean": CIFAR_MEAN, "std": CIFAR_STD, "classifier": "fc", "first_conv": "conv1",
}  # fmt: skip
_POOL_SIZE = {"resnet20": (8, 8), "resnet56": (8, 8), "resnet18": (4, 4)}

default_cfgs = generate_default_cfgs(
    {
        name: cfg
        for net, pool_size in _POOL_SIZE.items()
        for family in MASKS
        for name, cfg in default_cfgs_of(f"{family}_cifar_{net}", pool_size=pool_size, **_COMMON).items()
    }
)


def _create(variant: str, pretrained: bool, args: dict[str, Any], kwargs: dict[str, Any]) -> CifarResNet:
    return build_gmconv(
        CifarResNet,
        variant,
        pretrained,
        rename=_rename,
        feature_cfg={"out_indices": tuple(range(len(args["layers"]) + 1))},
        **{**args, **kwargs},
    )


def _rename(state_dict: StateDict, model: nn.Module) -> StateDict:
    """Some public CIFAR checkpoints call the classifier "linear"."""
    return {key.replace("linear.", "fc.", 1) if key.startswith("linear.") else key: v for key, v in state_dict.items()}


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
_RESNET18 = {"layers": (2, 2, 2, 2), "channels": (64, 128, 256, 512), "shortcut": "conv"}


@register_model
def gmconv_cifar_resnet20(pretrained: bool = False, **kwargs: Any) -> CifarResNet:
    """CIFAR ResNet-20 with a dynamic stem and static masks elsewhere."""
    return _create("gmconv_cifar_resnet20", pretrained, _RESNET20, kwargs)


@register_model
def sgmconv_cifar_resnet20(pretrained: bool = False, **kwargs: Any) -> CifarResNet:
    """CIFAR ResNet-20 with static masks everywhere."""
    return _create("sgmconv_cifar_resnet20", pretrained, _RESNET20, kwargs)


@register_model
def stdconv_cifar_resnet20(pretrained: bool = False, **kwargs: Any) -> CifarResNet:
    """CIFAR ResNet-20 with standard convolutions: the paper's baseline."""
    return _create("stdconv_cifar_resnet20", pretrained, _RESNET20, kwargs)


@register_model
def gmconv_cifar_resnet56(pretrained: bool = False, **kwargs: Any) -> CifarResNet:
    """CIFAR ResNet-56 with a dynamic stem and static masks elsewhere."""
    return _create("gmconv_cifar_resnet56", pretrained, _RESNET56, kwargs)


@register_model
def sgmconv_cifar_resnet56(pretrained: bool = False, **kwargs: Any) -> CifarResNet:
    """CIFAR ResNet-56 with static masks everywhere."""
    return _create("sgmconv_cifar_resnet56", pretrained, _RESNET56, kwargs)


@register_model
def stdconv_cifar_resnet56(pretrained: bool = False, **kwargs: Any) -> CifarResNet:
    """CIFAR ResNet-56 with standard convolutions: the paper's baseline."""
    return _create("stdconv_cifar_resnet56", pretrained, _RESNET56, kwargs)


@register_model
def gmconv_cifar_resnet18(pretrained: bool = False, **kwargs: Any) -> CifarResNet:
    """CIFAR ResNet-18 with a dynamic stem and static masks elsewhere."""
    return _create("gmconv_cifar_resnet18", pretrained, _RESNET18, kwargs)


@register_model
def sgmconv_cifar_resnet18(pretrained: bool = False, **kwargs: Any) -> CifarResNet:
    """CIFAR ResNet-18 with static masks everywhere."""
    return _create("sgmconv_cifar_resnet18", pretrained, _RESNET18, kwargs)


@register_model
def stdconv_cifar_resnet18(pretrained: bool = False, **kwargs: Any) -> CifarResNet:
    """CIFAR ResNet-18 with standard convolutions: the paper's baseline."""
    return _create("stdconv_cifar_resnet18", pretrained, _RESNET18, kwargs)
