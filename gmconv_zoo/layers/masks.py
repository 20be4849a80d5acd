"""Gaussian receptive-field masks as pure functions of sigma (paper Sec. III, Eq. 3-6)."""

import torch
from torch import Tensor

__all__ = ["circular_mask", "elliptical_mask", "smallest_mask_value"]


def circular_mask(sigma: Tensor, kernel_size: tuple[int, int]) -> Tensor:
    """Circular Gaussian receptive-field mask, largest value 1 (Eq. 3-4).

    Args:
        sigma: (1,) standard deviation in kernel taps; only its square matters.
        kernel_size: (kH, kW) in taps.

    Returns:
        (kH, kW) in [0, 1], in sigma's dtype but at least float32; 1 at the tap or taps nearest the centre.
    """
    sigma = sigma.to(torch.promote_types(sigma.dtype, torch.float32))
    dy2 = _squared_offsets(kernel_size[0], sigma)
    dx2 = _squared_offsets(kernel_size[1], sigma)
    distance2 = dy2.unsqueeze(1) + dx2.unsqueeze(0)
    return torch.exp(-0.5 * distance2 / _floored_square(sigma))


def elliptical_mask(sigma1: Tensor, sigma2: Tensor, kernel_size: tuple[int, int]) -> Tensor:
    """Elliptical Gaussian receptive-field masks, one per sample, largest value 1 (Eq. 5-6).

    Args:
        sigma1: (B,) horizontal standard deviations, along the kernel's width, in kernel taps.
        sigma2: (B,) vertical standard deviations, along the kernel's height, in kernel taps.
        kernel_size: (kH, kW) in taps.

    Returns:
        (B, kH, kW) in [0, 1], in sigma1's dtype but at least float32.
    """
    dtype = torch.promote_types(sigma1.dtype, torch.float32)
    sigma1, sigma2 = sigma1.to(dtype), sigma2.to(dtype)
    dy2 = _squared_offsets(kernel_size[0], sigma2)
    dx2 = _squared_offsets(kernel_size[1], sigma1)
    exponent_y = dy2.unsqueeze(0) / _floored_square(sigma2).unsqueeze(1)
    exponent_x = dx2.unsqueeze(0) / _floored_square(sigma1).unsqueeze(1)
    return torch.exp(-0.5 * (exponent_y.unsqueeze(2) + exponent_x.unsqueeze(1)))


def smallest_mask_value(sigma: float, kernel_size: tuple[int, int]) -> float:
    """The value at the corners of a circular mask, without building it on a device.

    Args:
        sigma: standard deviation in kernel taps.
        kernel_size: (kH, kW) in taps.

    Returns:
        A number in [0, 1]. Dividing a kernel by a mask is well conditioned only while this is far from 0.
    """
    return float(circular_mask(torch.tensor([sigma], dtype=torch.float64), kernel_size).min())


def _squared_offsets(size: int, like: Tensor) -> Tensor:
    """(size,) squared distances in taps from the geometric centre, less the smallest of them.

    Subtracting the smallest is the max normalisation of Eq. 4 and 6: an even kernel has no tap at its centre.
    """
    centre = (size - 1) / 2
    offsets = torch.arange(size, device=like.device, dtype=like.dtype) - centre
    return offsets * offsets - 0.25 * ((size - 1) % 2)


def _floored_square(sigma: Tensor, floor: float = 1e-6) -> Tensor:
    """sigma squared, floored so that the division and its gradient stay finite.

    Below a sigma of 1e-3 taps every value off the centre underflows to 0 anyway: 0 gives the centre tap alone.
    """
    return (sigma * sigma).clamp(min=floor)
