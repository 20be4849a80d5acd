"""The form of a network that is exported: a copy on the CPU, in eval mode, its static masks folded into the kernels."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..conversion import fuse as fold_static_masks
from ..layers import DGMConv2d, copy_network
from ..saving.config import check_unwrapped

__all__ = ["example_images", "outputs_of", "prepare"]


def prepare(model: nn.Module, *, fuse: bool = True) -> nn.Module:
    """Return a copy of a network as it is exported: on the CPU, in eval mode, its dynamic layers free to choose a form.

    Raises:
        ValueError: for a wrapped network, one on the meta device, or one that is not float32.
    """
    check_unwrapped(model, "exported")
    tensors = [*model.parameters(), *model.buffers()]
    if any(tensor.is_meta for tensor in tensors):
        raise ValueError("the network is on the meta device and has no weights: load them before exporting.")
    dtypes = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
    if dtypes - {torch.float32}:
        names = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in dtypes))
        raise ValueError(f"the network holds {names} tensors: export model.float(), and lower the precision after.")
    net = copy_network(model).cpu().eval().requires_grad_(False)
    for module in net.modules():
        if isinstance(module, DGMConv2d):
            module.form = None
    return fold_static_masks(net, inplace=True) if fuse else net


def example_images(input_size: tuple[int, int, int], batch: int, *, seed: int = 0) -> Tensor:
    """Return normally distributed images whose channel means differ from sample to sample, as dynamic masks need."""
    generator = torch.Generator().manual_seed(seed)
    means: Any = torch.linspace(-1, 1, batch).reshape(-1, 1, 1, 1) if batch > 1 else 0.5
    return torch.randn(batch, *input_size, generator=generator) + means


@torch.no_grad()
def outputs_of(net: Callable[[Tensor], Any], images: Tensor) -> list[Tensor]:
    """Return the outputs of a network for (B, C, H, W) images as a list, also where there is a single one."""
    outputs = net(images)
    return [outputs] if isinstance(outputs, Tensor) else list(outputs)
