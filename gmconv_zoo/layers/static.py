"""S-GMConv: a convolution under one circular Gaussian mask with a learnable sigma (paper Sec. III, Eq. 2-4)."""

from numbers import Real
from typing import Any, Literal

import torch
from timm.layers import Conv2dSame, pad_same, to_2tuple
from timm.models import register_notrace_module
from torch import Tensor, nn
from torch.nn import functional as F

from .copying import plain_copy, take_attributes
from .masks import circular_mask, kernel_sigma

__all__ = ["MaskConv2d", "PaddingMode", "SGMConv2d", "check_sigma_init", "initial_sigma"]

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]


class MaskConv2d(nn.Conv2d):
    """The geometry of both layers, which follows the attributes that are set after building, as in dilated networks."""

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, padding: Any, *others: Any
    ) -> None:
        torchs_stride = 1 if padding == "same" else stride  # nn.Conv2d refuses others
        super().__init__(in_channels, out_channels, kernel_size, torchs_stride, padding, *others)
        self.stride = stride
        if padding == "same" and self.stride != (1, 1) and (mode := self.padding_mode) != "zeros":
            raise ValueError(f"padding_mode={mode!r}: padding='same' with a stride pads with zeros; pass 'zeros'.")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("stride", "padding", "dilation") and not isinstance(value, str):
            value = (2 * to_2tuple(value))[:2]
        super().__setattr__(name, value)

    def _pads_to_input(self) -> bool:
        """Tell whether padding depends on the input's size: "same" with a stride, with zeros, unlike `nn.Conv2d`'s."""
        return str(self.padding) == "same" and self.padding_mode == "zeros" and self.stride != (1, 1)

    def _pad(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Pad an input with all but the zeros that a convolution adds on both sides, and return their number too."""
        if self._pads_to_input():
            return pad_same(x, list(self.kernel_size), list(self.stride), list(self.dilation)), (0, 0)
        both = (0, 0)
        if not isinstance(self.padding, str):
            both = (2 * self.padding[0], 2 * self.padding[1])
        elif self.padding == "same":
            size, step = self.kernel_size, self.dilation
            both = (step[0] * (size[0] - 1), step[1] * (size[1] - 1))
        first = (both[0] // 2, both[1] // 2)
        if self.padding_mode == "zeros" and both[0] % 2 == 0 and both[1] % 2 == 0:
            return x, first
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        return F.pad(x, [first[1], both[1] - first[1], first[0], both[0] - first[0]], mode), (0, 0)


@register_notrace_module  # a leaf for timm's fx feature extraction, as any convolution is
class SGMConv2d(MaskConv2d):
    """Static Gaussian mask convolution: ``conv2d(x, weight * mask(sigma))``.

    Takes every argument of `torch.nn.Conv2d`. In addition, ``padding="same"`` may be combined with a stride, and then
    pads as TensorFlow's SAME does; at stride 1, this is torch's own padding. The kernel must not be 1x1, whose mask is
    identically 1.

    Args:
        sigma_init: initial sigma in kernel taps, above 0 (5 in the paper), or "kernel" for half the kernel's width,
            see `initial_sigma`.

    Shape:
        - input (B, C, H, W) or (C, H, W), output (B, O, H', W') or (O, H', W')
        - weight (O, I, kH, kW), bias (O,), sigma (1,)

    Raises:
        ValueError: for a 1x1 kernel, a sigma that is not above 0, or what `torch.nn.Conv2d` refuses.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        sigma_init: float | str = 5.0,
    ) -> None:
        geometry = (kernel_size, stride, padding, dilation, groups)
        super().__init__(in_channels, out_channels, *geometry, bias, padding_mode, device, dtype)
        self.sigma_init = initial_sigma(self.kernel_size, sigma_init)
        self.sigma = nn.Parameter(self.weight.new_full((1,), self.sigma_init))

    def reset_parameters(self) -> None:
        """Draw the weight and the bias as `torch.nn.Conv2d` does, and set sigma to its initial value."""
        super().reset_parameters()
        if hasattr(self, "sigma"):  # torch's constructor resets what it has made
            nn.init.constant_(self.sigma, self.sigma_init)

    def mask(self) -> Tensor:
        """Return the (kH, kW) mask, in at least float32."""
        return circular_mask(self.sigma, self.kernel_size)

    def masked_weight(self) -> Tensor:
        """Return the (O, I, kH, kW) kernel that is applied, in the weight's dtype (Eq. 2)."""
        return (self.weight * self.mask()).to(self.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        x, padding = self._pad(x)
        return F.conv2d(x, self.masked_weight(), self.bias, self.stride, padding, self.dilation, self.groups)

    @torch.jit.ignore
    @torch.no_grad()
    def fuse(self) -> nn.Conv2d:
        """Return the plain convolution with the same outputs, whose weight is the masked kernel in eval mode.

        It is timm's `Conv2dSame` where the padding follows the input's size, or else a `torch.nn.Conv2d`.
        `timm.utils.reparameterize_model` calls this for every child.
        """
        plain = plain_copy(self)
        options: dict[str, Any] = {"dilation": self.dilation, "groups": self.groups}
        options |= {"bias": plain.bias is not None, "device": "meta"}
        fused: nn.Conv2d
        if self._pads_to_input():
            fused = Conv2dSame(self.in_channels, self.out_channels, self.kernel_size, **options)
        else:
            options.update(padding=self.padding, padding_mode=self.padding_mode)
            fused = nn.Conv2d(self.in_channels, self.out_channels, self.kernel_size, **options)
        fused.stride = self.stride
        fused.weight = nn.Parameter(plain.masked_weight(), requires_grad=plain.weight.requires_grad)
        fused.bias = plain.bias
        take_attributes(fused, plain, but=("state_dict", "sigma_init"))  # these belong to the mask
        return fused.train(self.training)

    @torch.jit.ignore
    def extra_repr(self) -> str:
        sigma = "meta" if self.sigma.is_meta else f"{self.sigma.item():.4g}"
        return f"{super().extra_repr()}, sigma={sigma}"


def initial_sigma(kernel_size: tuple[int, int], sigma_init: float | str) -> float:
    """Return the sigma that the mask of a (kH, kW) kernel starts with.

    It is a number of taps, or for "kernel" half the kernel's width, where the corner of the mask is exp(-1) whatever
    the kernel's size. ValueError for a 1x1 kernel, one without taps, or a sigma that `check_sigma_init` refuses.
    """
    if min(kernel_size) < 1:
        raise ValueError(f"kernel_size={tuple(kernel_size)}: both sides must be at least 1 tap.")
    if max(kernel_size) == 1:
        raise ValueError("kernel_size=(1, 1): a 1x1 mask is identically 1; use torch.nn.Conv2d.")
    sigma = check_sigma_init(sigma_init)
    return kernel_sigma(kernel_size) if isinstance(sigma, str) else sigma


def check_sigma_init(sigma_init: Any) -> float | str:
    """Return "kernel", or a finite number of taps above 0 as a float; ValueError for anything else."""
    if isinstance(sigma_init, str) and sigma_init == "kernel":
        return sigma_init
    number = isinstance(sigma_init, Real) and not isinstance(sigma_init, bool)
    if not number or not 0 < float(sigma_init) < float("inf"):
        raise ValueError(f"sigma_init={sigma_init!r}: pass a finite number of taps above 0, e.g. 5.0, or 'kernel'.")
    return float(sigma_init)


# A leaf for torch.fx, whose proxies cannot enter branches on shapes.
torch.fx.wrap("pad_same")
