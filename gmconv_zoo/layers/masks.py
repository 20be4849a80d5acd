"""Gaussian receptive-field masks as pure functions of sigma (paper Sec. III, Eq. 3-6).

A mask is made in every forward pass of every layer, so its operations count at small batches and on a GPU. They are
one exponential of a quotient, because its backward pass has the fewest of the forms that were tried, and the numbers
that do not depend on sigma are made once for each kernel size, type and device.
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
    half_squares, floor = _constants(kernel_size, sigma)
    return torch.exp(half_squares / torch.addcmul(floor, sigma, sigma))


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
    vertical, floor = _constants((kernel_size[0], 1), sigma2)
    horizontal, _ = _constants((1, kernel_size[1]), sigma1)
    vertical = vertical / torch.addcmul(floor, sigma2, sigma2).unsqueeze(1).unsqueeze(2)
    return torch.exp(vertical + horizontal / torch.addcmul(floor, sigma1, sigma1).unsqueeze(1).unsqueeze(2))


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


# What `_make_constants` made for ordinary calls, by its arguments
_KEPT: dict[tuple[tuple[int, int], torch.dtype, torch.device], tuple[Tensor, Tensor]] = {}


def _constants(kernel_size: tuple[int, int], like: Tensor) -> tuple[Tensor, Tensor]:
    """Return `_make_constants` in a tensor's dtype and on its device; the caller does not write into them."""
    if torch.jit.is_scripting():
        return _make_constants(kernel_size, like.dtype, like.device)
    else:
        return _kept_constants(kernel_size, like)


@torch.jit.ignore
def _kept_constants(kernel_size: tuple[int, int], like: Tensor) -> tuple[Tensor, Tensor]:
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or not is_plain(like):
        return _make_constants(kernel_size, like.dtype, like.device)
    key = (kernel_size, like.dtype, like.device)
    if (kept := _KEPT.get(key)) is not None:
        return kept
    if like.is_cuda and torch.cuda.is_current_stream_capturing():  # what is made now exists only in the graph
        return _make_constants(*key)
    with torch.inference_mode(False):  # so that training can use them later
        # a copy from the CPU is complete when it returns, whatever stream uses it
        half_squares, floor = (values.to(like.device) for values in _make_constants(*key[:2], torch.device("cpu")))
    if is_plain(half_squares):  # and not that of a mode such as FakeTensorMode
        _KEPT[key] = half_squares, floor
    return half_squares, floor


def _make_constants(kernel_size: tuple[int, int], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return what the masks of a kernel size have in common.

    Returns:
        half_squares: (kH, kW), minus half the squared distances in taps from the centre, shifted so that the largest
            is 0. This is the normalisation to the maximum of Eq. 4 and 6: an even kernel has no tap at its centre.
        floor: (1,), to be added to sigma squared. It keeps the division and its gradient finite for a sigma of 0, which
            gives the centre tap alone, and is too small to change other masks: already for sigmas below 0.07 taps,
            every value off the centre underflows.
    """
    vertical = torch.arange(-(kernel_size[0] - 1) / 2, kernel_size[0] / 2, device=device, dtype=dtype)
    horizontal = torch.arange(-(kernel_size[1] - 1) / 2, kernel_size[1] / 2, device=device, dtype=dtype)
    half_squares = -0.5 * ((vertical * vertical).unsqueeze(1) + horizontal * horizontal)
    even = (kernel_size[0] + 1) % 2 + (kernel_size[1] + 1) % 2
    return half_squares + 0.125 * even, torch.full([1], 1e-15, device=device, dtype=dtype)
