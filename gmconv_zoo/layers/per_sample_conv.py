"""A convolution with one kernel per sample, in four forms that give the same numbers.

The dynamic layer needs it: its mask, and so its kernel, differs from sample to sample.

* ``"loop"``: one ordinary convolution per sample. The fastest form for images on a CPU, where launches are cheap.
* ``"patches"``: patches gathered in channels_last order, and a batched matrix product. The fastest form on accelerators
  if patches are small, and for training on small channels_last images on a CPU, where the launches of a loop cost more
  than its arithmetic. On small contiguous images, "matmul" is the fastest.
* ``"grouped"``: one convolution with a group per sample, in a single launch. It is used under `torch.compile`, on
  accelerators if patches are large, and for inference on small images.
* ``"matmul"``: unfold and a batched matrix product. The batch remains an ordinary dimension, so this form can be
  scripted, traced and exported with a dynamic batch.
"""

import torch
from timm.layers import is_exportable
from torch import Tensor
from torch.nn import functional as F

__all__ = ["FORMS", "is_channels_last", "is_plain", "per_sample_conv2d"]

Pair = tuple[int, int]
FORMS = ("loop", "patches", "grouped", "matmul")
# Pixels of an output up to which a batched product is faster than a loop (docs/performance.md).
SMALL_OUTPUT = 32 * 32
# Numbers in a patch (input channels x taps) up to which all patches may be kept for the backward pass.
SMALL_PATCH = 36
# Bytes of a sample's output from which writing into one buffer is faster than joining many.
LARGE_OUTPUT = 1 << 20


def per_sample_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
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
        form: one of `FORMS`, ValueError for others; None chooses by device, size and whether the call is exported.

    Returns:
        (B, O, H', W'); in channels_last if x is, except in the form "matmul".
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
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    form: str | None,
) -> Tensor:
    form = form or _best_form(x, weight, stride)
    forms = {"loop": _loop, "patches": _patches, "grouped": _grouped, "matmul": _matmul}
    if form not in forms:
        raise ValueError(f"form={form!r}: pass one of {FORMS}, or None to choose by device.")
    # a batch that is exported has no size yet
    convolve = _matmul if form == "matmul" or x.shape[0] == 0 else forms[form]
    return convolve(x, weight, bias, stride, padding, dilation, groups)


def _best_form(x: Tensor, weight: Tensor, stride: tuple[int, int]) -> str:
    # torch 2.11 takes is_exporting() for true in everything that torch.compile compiles
    exporting = torch.compiler.is_exporting() and not torch.compiler.is_dynamo_compiling()
    if torch.jit.is_tracing() or is_exportable() or exporting:
        return "matmul"
    if torch.compiler.is_compiling():
        return "grouped"
    if x.device.type != "cpu":  # also for few numbers in a patch only: patches take memory
        return "patches" if is_plain(x) and weight.shape[2:].numel() <= SMALL_PATCH else "grouped"
    if is_plain(x):
        small = x.shape[2] * x.shape[3] <= SMALL_OUTPUT * stride[0] * stride[1]
        if x.shape[0] == 1 or (small and not torch.is_grad_enabled()):
            return "grouped"  # for one sample an ordinary convolution
        if small and weight.shape[2:].numel() <= SMALL_PATCH:  # whose backward pass in groups is slow
            return "patches" if is_channels_last(x) else "matmul"
    return "loop"


def is_plain(x: Tensor) -> bool:
    """Tell whether a tensor is an ordinary one: no subclass, and no transform of torch.func around the call."""
    return type(x) is Tensor and not torch._C._are_functorch_transforms_active()


def is_channels_last(x: Tensor) -> bool:
    """Tell whether a (B, C, H, W) tensor is stored as (B, H, W, C), and is not contiguous at the same time."""
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def _loop(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Tensor:
    convolved = (
        F.conv2d(sample, kernel, bias, stride, padding, dilation, groups)
        for sample, kernel in zip(x.split(1), weight.unbind(), strict=True)
    )
    first = next(convolved)
    # joining holds all outputs twice, writing into a buffer once, but autograd does not record that
    if torch.is_grad_enabled() or first.nbytes < LARGE_OUTPUT or not is_plain(x) or not is_plain(first):
        return torch.cat([first, *convolved])
    memory_format = torch.channels_last if is_channels_last(first) else torch.contiguous_format
    shape = (x.shape[0], *first.shape[1:])
    out = torch.empty(shape, dtype=first.dtype, device=first.device, memory_format=memory_format)
    out[0] = first[0]
    for index, other in enumerate(convolved, start=1):
        out[index] = other[0]
    return out


def _patches(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Tensor:
    batch, out_channels = weight.shape[0], weight.shape[1]
    channels_last = is_plain(x) and is_channels_last(x)
    if any(padding):
        x = F.pad(x, [padding[1], padding[1], padding[0], padding[0]])
    for axis in (0, 1):  # a view: every output pixel with every tap of its window
        x = x.unfold(2 + axis, dilation[axis] * (weight.shape[3 + axis] - 1) + 1, stride[axis])[..., :: dilation[axis]]
    height, width = x.shape[2], x.shape[3]
    patches = x.unflatten(1, (groups, x.shape[1] // groups)).permute(0, 1, 3, 4, 5, 6, 2)
    patches = patches.reshape(batch, groups, height * width, -1)
    kernels = weight.unflatten(1, (groups, out_channels // groups)).permute(0, 1, 4, 5, 3, 2)
    kernels = kernels.reshape(batch, groups, -1, out_channels // groups)
    if not channels_last:
        out = torch.matmul(kernels.mT, patches.mT).flatten(1, 2)
        if bias is not None:
            out = out + bias.to(out.dtype).reshape(-1, 1)
        return out.unflatten(2, (height, width))
    out = torch.matmul(patches, kernels)
    if bias is not None:
        out = out + bias.to(out.dtype).reshape(groups, 1, -1)
    return out.transpose(1, 2).reshape(batch, height, width, out_channels).permute(0, 3, 1, 2)


def _grouped(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Tensor:
    batch, channels, height, width = x.shape
    channels_last = is_channels_last(x)
    side_by_side = x.reshape(1, batch * channels, height, width)
    out = F.conv2d(side_by_side, weight.flatten(0, 1), None, stride, padding, dilation, batch * groups)
    out = out.reshape(batch, weight.shape[1], out.shape[-2], out.shape[-1])
    if bias is not None:
        out = out + bias.to(out.dtype).reshape(-1, 1, 1)
    return out.contiguous(memory_format=torch.channels_last) if channels_last else out


def _matmul(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
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
