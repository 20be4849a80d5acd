"""A convolution with one kernel per sample, in three forms that give the same numbers.

The dynamic layer needs it: its mask, and so its kernel, differs from sample to sample.

* ``"loop"``: one ordinary convolution per sample. Fastest for images on a CPU, where launches are cheap.
* ``"grouped"``: one convolution with a group per sample. A single launch, for accelerators and `torch.compile`.
* ``"matmul"``: unfold and a batched matrix product. The batch stays an ordinary dimension, so this is the form
  that scripts, traces and exports with a dynamic batch.
"""

import torch
from timm.layers import is_exportable
from torch import Tensor
from torch.nn import functional as F

__all__ = ["FORMS", "per_sample_conv2d"]

FORMS = ("loop", "grouped", "matmul")


def per_sample_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    form: str | None = None,
) -> Tensor:
    """Convolve every sample with its own kernel.

    Args:
        x: (B, C, H, W); B may be 0.
        weight: (B, O, I, kH, kW), in x's dtype or one that autocast unites with it.
        bias: (O,) or None.
        stride, padding, dilation: (vertical, horizontal), in pixels.
        groups: channel groups, I = C / groups.
        form: one of `FORMS`; None chooses by device and by whether the call is being exported or compiled.

    Returns:
        (B, O, H', W'); a channels_last x stays so in the "loop" and "grouped" forms.
    """
    if torch.jit.is_scripting():
        return _matmul(x, weight, bias, stride, padding, dilation, groups)
    else:
        return _dispatch(x, weight, bias, stride, padding, dilation, groups, form)


@torch.jit.ignore
def _dispatch(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    form: str | None,
) -> Tensor:
    form = form or _best_form(x)
    if form == "matmul" or x.shape[0] == 0:
        return _matmul(x, weight, bias, stride, padding, dilation, groups)
    if form == "grouped":
        return _grouped(x, weight, bias, stride, padding, dilation, groups)
    if form == "loop":
        return _loop(x, weight, bias, stride, padding, dilation, groups)
    raise ValueError(f"form={form!r}: pass one of {FORMS}, or None to choose by device.")


def _best_form(x: Tensor) -> str:
    if torch.jit.is_tracing() or is_exportable() or torch.compiler.is_exporting():
        return "matmul"
    if torch.compiler.is_compiling() or x.device.type != "cpu":
        return "grouped"
    return "loop"


def _loop(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> Tensor:
    return torch.cat(
        [
            F.conv2d(sample, kernel, bias, stride, padding, dilation, groups)
            for sample, kernel in zip(x.split(1), weight.unbind(), strict=True)
        ]
    )


def _grouped(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> Tensor:
    batch, channels, height, width = x.shape
    channels_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    out = F.conv2d(
        x.reshape(1, batch * channels, height, width),
        weight.flatten(0, 1),
        None,
        stride,
        padding,
        dilation,
        batch * groups,
    )
    out = out.reshape(batch, weight.shape[1], out.shape[-2], out.shape[-1])
    if bias is not None:
        out = out + bias.to(out.dtype).reshape(-1, 1, 1)
    return out.contiguous(memory_format=torch.channels_last) if channels_last else out


def _matmul(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> Tensor:
    out_channels, kernel_height, kernel_width = weight.shape[1], weight.shape[3], weight.shape[4]
    height = (x.shape[2] + 2 * padding[0] - dilation[0] * (kernel_height - 1) - 1) // stride[0] + 1
    width = (x.shape[3] + 2 * padding[1] - dilation[1] * (kernel_width - 1) - 1) // stride[1] + 1
    patches = F.unfold(x, (kernel_height, kernel_width), dilation, padding, stride)
    patches = patches.unflatten(1, (groups, patches.shape[1] // groups))
    kernels = weight.flatten(2).unflatten(1, (groups, out_channels // groups))
    out = torch.matmul(kernels, patches).flatten(1, 2)
    if bias is not None:
        out = out + bias.to(out.dtype).reshape(-1, 1)
    return out.unflatten(2, (height, width))
