"""Masks against an explicit loop over taps (Eq. 3-6)."""

import math

import pytest
import torch
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

from gmconv_zoo.layers.masks import circular_mask, elliptical_mask, smallest_mask_value

KERNELS = [(3, 3), (5, 5), (11, 11), (4, 4), (2, 2), (1, 7), (3, 6), (5, 2)]


def gaussian_by_loop(sigma_x: float, sigma_y: float, kernel: tuple[int, int]) -> torch.Tensor:
    """Eq. 5 at every tap, divided by the largest of them (Eq. 6)."""
    centre_y, centre_x = (kernel[0] - 1) / 2, (kernel[1] - 1) / 2
    raw = torch.zeros(kernel, dtype=torch.float64)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            exponent = ((j - centre_x) / sigma_x) ** 2 + ((i - centre_y) / sigma_y) ** 2
            raw[i, j] = math.exp(-exponent / 2) / (2 * math.pi * sigma_x * sigma_y)
    return raw / raw.max()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("sigma", [0.5, 1.0, 5.0, -5.0, 40.0])
def test_circular_mask_equals_a_loop_over_taps(kernel, sigma):
    mask = circular_mask(torch.tensor([sigma], dtype=torch.float64), kernel)
    torch.testing.assert_close(mask, gaussian_by_loop(sigma, sigma, kernel).abs(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
def test_elliptical_masks_equal_a_loop_over_taps_for_every_sample(kernel):
    sigma_x = torch.tensor([0.7, 5.0, 2.0], dtype=torch.float64)
    sigma_y = torch.tensor([3.0, 5.0, 0.4], dtype=torch.float64)
    masks = elliptical_mask(sigma_x, sigma_y, kernel)
    for b in range(3):
        expected = gaussian_by_loop(float(sigma_x[b]), float(sigma_y[b]), kernel)
        torch.testing.assert_close(masks[b], expected, rtol=0, atol=1e-12)


def test_sigma_zero_is_the_centre_tap_alone():
    mask = circular_mask(torch.zeros(1), (5, 5))
    expected = torch.zeros(5, 5)
    expected[2, 2] = 1
    assert torch.equal(mask, expected)
    horizontal, vertical = elliptical_mask(torch.tensor([0.0, 1e9]), torch.tensor([1e9, 0.0]), (5, 5))
    assert torch.equal(horizontal, torch.eye(5)[2].reshape(1, 5).expand(5, 5))  # the centre column, then the centre row
    assert torch.equal(vertical, horizontal.T)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_sigma_gives_a_float32_mask(dtype):
    mask = circular_mask(torch.tensor([2.0], dtype=dtype), (11, 11))
    assert mask.dtype == torch.float32
    torch.testing.assert_close(mask, gaussian_by_loop(2.0, 2.0, (11, 11)).float(), rtol=0, atol=1e-6)
    sigma1, sigma2 = torch.tensor([2.0], dtype=dtype), torch.tensor([3.0], dtype=dtype)
    mask = elliptical_mask(sigma1, sigma2, (7, 9))[0]
    assert mask.dtype == torch.float32
    torch.testing.assert_close(mask, gaussian_by_loop(2.0, 3.0, (7, 9)).float(), rtol=0, atol=1e-6)


def test_smallest_value_is_the_corner():
    assert smallest_mask_value(1.0, (7, 7)) == pytest.approx(math.exp(-9))
    assert smallest_mask_value(5.0, (3, 3)) == pytest.approx(math.exp(-2 / 50))
    for kernel in KERNELS:
        assert smallest_mask_value(1.7, kernel) == pytest.approx(float(gaussian_by_loop(1.7, 1.7, kernel).min()))


@pytest.mark.parametrize("operation", [torch.ops.aten.add.Tensor, torch.ops.aten.mul.Tensor])
def test_selective_checkpointing_repeats_the_operations_of_the_forward_pass(operation):
    sigma = torch.tensor([1.3], requires_grad=True)

    def contexts():
        return create_selective_checkpoint_contexts([operation])

    mask = checkpoint(circular_mask, sigma, (3, 5), use_reentrant=False, context_fn=contexts)
    expected = torch.autograd.grad(circular_mask(sigma, (3, 5)).sum(), sigma)
    assert torch.autograd.grad(mask.sum(), sigma) == expected


@pytest.mark.parametrize("sigma", [0.0, 1e-8, 1e-5])
def test_a_sigma_of_almost_zero_has_first_and_second_derivatives_of_zero(sigma):
    sigmas = torch.full((1,), sigma, requires_grad=True)
    for mask in (circular_mask(sigmas, (13, 13)), elliptical_mask(sigmas, sigmas, (4, 7))):
        (first,) = torch.autograd.grad(mask.sum(), sigmas, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), sigmas)
        assert (first.item(), second.item()) == (0, 0)
