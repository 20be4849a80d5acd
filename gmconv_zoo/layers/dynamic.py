"""D-GMConv: a convolution under an elliptical Gaussian mask predicted for every sample (paper Sec. III, Eq. 5-7)."""

from typing import Any

import torch
import torch.distributed as dist
from timm.layers import get_device_dtype
from timm.models import register_notrace_module
from torch import Tensor, nn

from .masks import elliptical_mask
from .per_sample_conv import is_channels_last, is_plain, per_sample_conv2d
from .static import MaskConv2d, PaddingMode, initial_sigma

__all__ = ["SIGMA_DESIGNS", "STEM_HIDDEN_CHANNELS", "DGMConv2d", "SigmaModule", "sum_over_processes"]

# Table IV: what the sigma module predicts. "ratio" is sigma1 and sigma2 / sigma1, the paper's choice.
SIGMA_DESIGNS = ("ratio", "pair", "single")
# The width that Eq. 7 gives for RGB. The stem of a network keeps it at other channel counts, so that weights adapt.
STEM_HIDDEN_CHANNELS = 4


class SigmaModule(nn.Module):
    """Predict the standard deviations of every sample's mask from its pooled input (Eq. 7, Fig. 5).

    The first layer of Eq. 7 acts on the maximum and the average of each channel. Here, it is two 1x1 convolutions whose
    outputs are added, which is the same function: timm can then adapt each of them to other numbers of image channels
    (``first_conv``). The last layer starts with zero weights and the initial sigma as bias, so that training begins at
    the static mask. The weights on the maxima start positive: most of the pooled input is the same for every image, so
    a unit with random weights would be 0 for all images, or for none, from the start. Everything is computed in at
    least float32, under autocast too.

    Args:
        in_channels: C of the input.
        hidden_channels: width h of the hidden layer; None for Eq. 7's floor(2C / r) with r = 4/3.
        sigma_design: one of `SIGMA_DESIGNS`.
        sigma_init: the sigma that every sample starts with, in kernel taps.
        device, dtype: as in `torch.nn.Linear`.

    Raises:
        ValueError: for an unknown design or fewer than 1 hidden units.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int | None = None,
        *,
        sigma_design: str = "ratio",
        sigma_init: float = 5.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if sigma_design not in SIGMA_DESIGNS:
            raise ValueError(f"sigma_design={sigma_design!r}: pass one of {SIGMA_DESIGNS}.")
        if hidden_channels is None:
            hidden_channels = max(1, 3 * in_channels // 2)
        if hidden_channels < 1:
            raise ValueError(f"hidden_channels={hidden_channels}: pass at least 1, or None for Eq. 7's width.")
        self.sigma_design = sigma_design
        self.in_channels = in_channels
        start = {"ratio": (sigma_init, 1.0), "pair": (sigma_init, sigma_init), "single": (sigma_init,)}[sigma_design]
        self.fc_max = _PositiveConv1x1(in_channels, hidden_channels, 1, bias=False, device=device, dtype=dtype)
        self.fc_avg = _Conv1x1(in_channels, hidden_channels, 1, bias=False, device=device, dtype=dtype)
        self.act = nn.ReLU()
        self.fc = _Linear(hidden_channels, start, device=device, dtype=dtype)

    def hidden(self, x: Tensor) -> Tensor:
        """Return the (B, h) hidden units after the ReLU, for (B, C, H, W) inputs.

        A unit that is 0 for every image is dead; when all of them are, sigma no longer depends on the image.
        """
        _check_channels(x, self.in_channels)
        dtype = torch.promote_types(x.dtype, torch.float32)
        largest = _largest(x).to(dtype)
        mean = x.mean((2, 3), keepdim=True, dtype=dtype)
        return self.act((self.fc_max(largest) + self.fc_avg(mean)).flatten(1))

    @torch.jit.ignore
    @torch.no_grad()
    def revive(self, x: Tensor, *, generator: torch.Generator | None = None) -> list[int]:
        """Draw new weights for every hidden unit that is 0 for the whole batch, of all processes together.

        The unit's column in the last layer becomes 0, so that it still contributes nothing to the sigmas of these
        inputs. Its row in the first layer is drawn as at the start, by the generator of the first process, and negated
        if the unit would be 0 for more than half of the batch. Every process of torch.distributed passes its own
        (B, C, H, W) inputs of the layer. Returns the units that were dead, in [0, h).
        """
        dead = (self._silence(x) == 1).nonzero().flatten()
        if not len(dead):
            return []
        bound = self.in_channels**-0.5  # torch's own for a linear layer
        for layer in (self.fc_max, self.fc_avg):
            rows = torch.empty(len(dead), *layer.weight.shape[1:]).uniform_(-bound, bound, generator=generator)
            rows = (rows.abs() if layer is self.fc_max else rows).to(layer.weight)
            layer.weight[dead] = sum_over_processes(rows, only_first=True)
        self.fc.weight[:, dead] = 0
        silent = dead[self._silence(x)[dead] > 0.5]
        self.fc_max.weight[silent] *= -1
        self.fc_avg.weight[silent] *= -1
        return dead.tolist()

    def _silence(self, x: Tensor) -> Tensor:
        """Return the (h,) shares of images, of all processes, for which each unit is 0."""
        zero = self.hidden(x) == 0
        counts = sum_over_processes(torch.stack([zero.sum(0), (~zero).sum(0)]))
        return counts[0] / counts.sum(0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return horizontal and vertical sigma in kernel taps, each (B,), for (B, C, H, W) inputs."""
        predicted = self.fc(self.hidden(x))
        sigma1, last = predicted[:, 0], predicted[:, -1]  # the same one in the design "single"
        return sigma1, sigma1 * last if self.sigma_design == "ratio" else last


@register_notrace_module  # a leaf for timm's fx feature extraction
class DGMConv2d(MaskConv2d):
    """Dynamic Gaussian mask convolution: ``conv2d(x[b], weight * mask(sigma(x[b])))`` for every sample b.

    Takes every argument of `torch.nn.Conv2d`, and ``padding="same"`` with a stride as `SGMConv2d` does. There is
    no ``fuse()``: the kernel depends on the input.

    Args:
        sigma_init: the sigma that every sample starts with, as in `SGMConv2d`.
        sigma_design: what is predicted (Table IV): "ratio" (sigma1 and sigma2 / sigma1), "pair" or "single".
        hidden_channels: width of the sigma module's hidden layer; None for Eq. 7's floor(2C / r) with r = 4/3.

    Shape:
        - input (B, C, H, W) or (C, H, W), output (B, O, H', W') or (O, H', W')
        - weight (O, I, kH, kW), bias (O,)

    Attributes:
        form: one of `per_sample_conv.FORMS`, or None (the default) to choose by device and by export.

    Raises:
        ValueError: for a 1x1 kernel, a sigma that is not above 0, an unknown design, or another number of channels.
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
        sigma_design: str = "ratio",
        hidden_channels: int | None = None,
    ) -> None:
        geometry = (kernel_size, stride, padding, dilation, groups)
        super().__init__(in_channels, out_channels, *geometry, bias, padding_mode, device, dtype)
        sigma = initial_sigma(self.kernel_size, sigma_init)
        self.form: str | None = None
        options = {"sigma_design": sigma_design, "sigma_init": sigma, **get_device_dtype(self)}
        self.sigma_module = SigmaModule(in_channels, hidden_channels, **options)

    def mask(self, x: Tensor) -> Tensor:
        """Return the (B, kH, kW) masks of (B, C, H, W) inputs, in at least float32."""
        sigma1, sigma2 = self.sigma_module(x)
        return elliptical_mask(sigma1, sigma2, self.kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        batch = _as_batch(x)
        mask = self.mask(batch)
        weight = (self.weight.unsqueeze(0) * mask.unsqueeze(1).unsqueeze(1)).to(self.weight.dtype)
        batch, padding = self._pad(batch)
        out = per_sample_conv2d(batch, weight, self.bias, self.stride, padding, self.dilation, self.groups, self.form)
        return _batched_like(out, x)

    @torch.jit.ignore
    def set_hidden_channels(self, hidden_channels: int) -> None:
        """Replace the sigma module by a fresh one of this width, at least 1, for a checkpoint that has it."""
        old = self.sigma_module
        options = {"sigma_design": old.sigma_design, "sigma_init": old.fc.start[0], **get_device_dtype(old)}
        self.sigma_module = SigmaModule(self.in_channels, hidden_channels, **options).train(self.training)

    @torch.jit.ignore
    def extra_repr(self) -> str:
        bias = self.sigma_module.fc.bias
        start = "meta" if bias.is_meta else ", ".join(f"{value:.4g}" for value in bias.tolist())
        return f"{super().extra_repr()}, sigma=dynamic ({self.sigma_module.sigma_design}, bias {start})"


def sum_over_processes(values: Tensor, *, only_first: bool = False) -> Tensor:
    """Return the sum of a tensor over the processes of torch.distributed, or the first one's; of one process, itself.

    All of them call it.
    """
    if dist.is_available() and dist.is_initialized():
        if only_first:
            dist.broadcast(values, 0)
        else:
            dist.all_reduce(values)
    return values


class _Conv1x1(nn.Conv2d):
    """A 1x1 convolution of pooled (B, C, 1, 1) features in the input's dtype, whatever autocast is set to.

    Written without a matrix product, because autocast would round sigma to 8 bits of precision.
    """

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.flatten(1).to(x.dtype)
        return (x.flatten(1).unsqueeze(1) * weight).sum(2).unsqueeze(2).unsqueeze(3)


class _PositiveConv1x1(_Conv1x1):
    """A 1x1 convolution of pooled features whose weights start positive."""

    def reset_parameters(self) -> None:
        super().reset_parameters()
        with torch.no_grad():
            self.weight.abs_()


class _Linear(nn.Module):
    """A linear layer of (B, C) features in the input's dtype, whatever autocast is set to.

    It starts with zero weights, and a bias given for each output. It is not a `torch.nn.Linear`, because
    functions that initialise a network often set the biases of linear layers to 0, and a sigma of 0 gets no gradient.
    """

    def __init__(self, in_features: int, start: tuple[float, ...], **dd: Any) -> None:
        super().__init__()
        self.in_features, self.out_features, self.start = in_features, len(start), start
        self.weight = nn.Parameter(torch.empty(len(start), in_features, **dd))
        self.bias = nn.Parameter(torch.empty(len(start), **dd))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        self.weight.zero_()
        self.bias.copy_(torch.tensor(self.start, dtype=torch.float64, device="cpu"))

    def forward(self, x: Tensor) -> Tensor:
        return (x.unsqueeze(1) * self.weight.to(x.dtype)).sum(2) + self.bias.to(x.dtype)


def _largest(x: Tensor) -> Tensor:
    """The (B, C, 1, 1) maxima of (B, C, H, W) channels."""
    if torch.jit.is_scripting():
        return x.amax((2, 3), keepdim=True)
    else:
        return _largest_eager(x)


@torch.jit.ignore
def _largest_eager(x: Tensor) -> Tensor:
    if torch.jit.is_tracing() or torch.compiler.is_compiling() or x.requires_grad or not x.numel():
        return x.amax((2, 3), keepdim=True)
    if x.device.type != "cpu" or not is_plain(x) or not is_channels_last(x):
        return x.amax((2, 3), keepdim=True)
    # by rows first: with the few channels of an image innermost, amax over both axes takes nine times as long
    rows = x.permute(0, 2, 3, 1).flatten(2).amax(1)
    return rows.unflatten(1, (x.shape[3], x.shape[1])).amax(1).unsqueeze(2).unsqueeze(3)


def _check_channels(x: Tensor, in_channels: int) -> None:
    if x.shape[1] != in_channels:
        raise ValueError(
            f"expected an input of shape (batch, {in_channels}, height, width), got {list(x.shape)}: "
            f"create the model with in_chans={x.shape[1]}, or convert the images to {in_channels} channels."
        )


def _as_batch(x: Tensor) -> Tensor:
    return x.unsqueeze(0) if x.ndim == 3 else x


def _batched_like(out: Tensor, x: Tensor) -> Tensor:
    return out.squeeze(0) if x.ndim == 3 else out


# Leaves for torch.fx, whose proxies cannot enter branches on shapes.
for _name in ("per_sample_conv2d", "_largest", "_check_channels", "_as_batch", "_batched_like"):
    torch.fx.wrap(_name)
