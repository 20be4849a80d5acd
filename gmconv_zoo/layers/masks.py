"""Gaussian receptive-field masks as pure functions of sigma (paper Sec. III, Eq. 3-6).

A mask is made in every forward pass of every layer, so its operations count at small batches and on a GPU. They are
one exponential of a quotient, because its backward pass has the fewest of the forms that were tried, and the squared
distances in a kernel are made once for each size, type and device.
"""

import torch
from torch import Tensor

from .per_sample_conv import is_plain

__all__ = ["circular_mask", "elliptical_mask", "kernel_sigma", "smallest_mask_value"]


def circular_mask(sigma: Tensor, kernel_size: tuple[int, int]) -> Tensor:
    """Return a circular Gaussian receptive-field mask with largest value 1 (Eq. 3-4).

    Args:
        sigma: (1,) standard deviation in kernel taps; only its square matters.
        kernel_size: (kH, kW) in taps.

    Returns:
        (kH, kW) in [0, 1], in sigma's dtype but at least float32; 1 at the tap or taps nearest the centre.
    """
    sigma = sigma.to(torch.promote_types(sigma.dtype, torch.float32))
    return torch.exp(_half_squares((kernel_size[0], kernel_size[1]), sigma) / _positive_square(sigma))


def elliptical_mask(sigma1: Tensor, sigma2: Tensor, kernel_size: tuple[int, int]) -> Tensor:
    """Return elliptical Gaussian receptive-field masks with largest value 1, one per sample (Eq. 5-6).

    Args:
        sigma1: (B,) horizontal standard deviations in kernel taps, along the kernel's width; only squares matter.
        sigma2: (B,) vertical standard deviations in kernel taps, along the kernel's height; only squares matter.
        kernel_size: (kH, kW) in taps.

    Returns:
        (B, kH, kW) in [0, 1], in sigma1's dtype but at least float32.
    """
    dtype = torch.promote_types(sigma1.dtype, torch.float32)
    sigma1, sigma2 = sigma1.to(dtype), sigma2.to(dtype)
    vertical = _half_squares((kernel_size[0], 1), sigma2) / _positive_square(sigma2).unsqueeze(1).unsqueeze(2)
    horizontal = _half_squares((1, kernel_size[1]), sigma1) / _positive_square(sigma1).unsqueeze(1).unsqueeze(2)
    return torch.exp(vertical + horizontal)


def smallest_mask_value(sigma: float, kernel_size: tuple[int, int]) -> float:
    """Return the value at the corners of a circular mask.

    Args:
        sigma: standard deviation in kernel taps.
        kernel_size: (kH, kW) in taps.

    Returns:
        A number in [0, 1]. Dividing a kernel by a mask is well conditioned only while this is far from 0.
    """
    value = torch.tensor([sigma], dtype=torch.float64, device="cpu")  # also within torch.device("meta")
    return float(circular_mask(value, kernel_size).min())


def kernel_sigma(kernel_size: tuple[int, int]) -> float:
    """Return the sigma whose circular mask is exp(-1) at the corners: half the kernel's width, if it is odd and square.

    Args:
        kernel_size: (kH, kW) in taps, not (1, 1).

    Returns:
        A number of taps: 1 for a 3x3 kernel, 3 for 7x7, 5 for 11x11.
    """
    corner = sum(((size - 1) / 2) ** 2 - (0.0 if size % 2 else 0.25) for size in kernel_size)
    return (corner / 2) ** 0.5


def _positive_square(sigma: Tensor) -> Tensor:
    """Return sigma squared and a little more, so that its quotient has finite derivatives for a sigma of 0.

    Such a sigma gives the centre tap alone. Its second derivatives are finite in float32 for kernels of up to 13x13. No
    other mask changes in float32: for sigmas below 0.069 taps, every value off the centre underflows, and for those
    above 0.006, rounding removes the addition.
    """
    return sigma * sigma + 5e-13


# What `_make_half_squares` made for ordinary calls, by its arguments
_KEPT: dict[tuple[tuple[int, int], torch.dtype, torch.device], Tensor] = {}


def _half_squares(kernel_size: tuple[int, int], like: Tensor) -> Tensor:
    """Return `_make_half_squares` in a tensor's dtype and on its device, not to be written to."""
    if torch.jit.is_scripting():
        return _make_half_squares(kernel_size, like.dtype, like.device)
    else:
        return _kept_half_squares(kernel_size, like)


@torch.jit.ignore
def _kept_half_squares(kernel_size: tuple[int, int], like: Tensor) -> Tensor:
    key = (kernel_size, like.dtype, like.device)
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or not is_plain(like):
        return _make_half_squares(*key)
    if torch._C._len_torch_dispatch_stack():  # a mode may change what is made, or need equal operations in every call
        return _make_half_squares(*key)
    if (kept := _KEPT.get(key)) is not None:
        return kept
    if like.is_cuda and torch.cuda.is_current_stream_capturing():  # what is made now exists only in the graph
        return _make_half_squares(*key)
    with torch.inference_mode(False):  # so that training can use it later
        # a copy from the CPU is complete when it returns, whatever stream uses it
        made = _make_half_squares(*key[:2], torch.device("cpu")).to(like.device)
    _KEPT[key] = made
    return made


def _make_half_squares(kernel_size: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return (kH, kW) minus half the squared distances in taps from the centre, shifted so that the largest is 0.

    The shift is the normalisation to the maximum of Eq. 4 and 6, because an even kernel has no tap at its centre.
    """
    vertical = torch.arange(-(kernel_size[0] - 1) / 2, kernel_size[0] / 2, device=device, dtype=dtype)
    horizontal = torch.arange(-(kernel_size[1] - 1) / 2, kernel_size[1] / 2, device=device, dtype=dtype)
    half_squares = -0.5 * ((vertical * vertical).unsqueeze(1) + horizontal * horizontal)
    for size in kernel_size:
        if size % 2 == 0:  # a branch, because torch.compile cannot compute with the remainder of a dynamic size
            half_squares = half_squares + 0.125
    return half_squares
