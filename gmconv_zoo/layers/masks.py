"""Gaussian receptive-field masks as pure functions of sigma (paper Sec. III, Eq. 3-6).

A mask is made in every forward pass of every layer, so its operations count at small batches and on a GPU. They are
one exponential of a quotient, because its backward pass has the fewest of the forms that were tried.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

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
    vertical = _half_squares(kernel_size[0], sigma)
    horizontal = vertical if kernel_size[0] == kernel_size[1] else _half_squares(kernel_size[1], sigma)
    return torch.exp((vertical.unsqueeze(1) + horizontal) / _floored_square(sigma))


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
    vertical = _half_squares(kernel_size[0], sigma2) / _floored_square(sigma2).unsqueeze(1)
    horizontal = _half_squares(kernel_size[1], sigma1) / _floored_square(sigma1).unsqueeze(1)
    return torch.exp(vertical.unsqueeze(2) + horizontal.unsqueeze(1))


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


def _half_squares(size: int, like: Tensor) -> Tensor:
    """Return (size,) minus half the squared distances in taps from the centre, shifted so that the largest is 0.

    The shift is the normalisation to the maximum of Eq. 4 and 6, because an even kernel has no tap at its centre.
    """
    offsets = torch.arange(-(size - 1) / 2, size / 2, device=like.device, dtype=like.dtype)
    half_squares = offsets * (-0.5 * offsets)
    return half_squares if size % 2 else half_squares + 0.125


def _floored_square(sigma: Tensor, floor: float = 1e-6) -> Tensor:
    """Return sigma squared, but at least `floor`, so that the division and its gradient stay finite.

    Below a sigma of 1e-3 taps every value off the centre underflows to 0 anyway: 0 gives the centre tap alone.
    The backward pass of `threshold` is one operation, that of `clamp` three.
    """
    return F.threshold(sigma * sigma, floor, floor)
