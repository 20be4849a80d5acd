"""Read the sigmas and masks of a network, and keep them learning: optimizer settings, clipping, revival."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from .layers import DGMConv2d, SGMConv2d, elliptical_mask
from .layers.copying import unwrapped
from .layers.dynamic import sum_over_processes

__all__ = [
    "DYNAMIC_SPREAD",
    "DynamicMask",
    "are_different",
    "clip_sigma_grad",
    "dynamic_masks",
    "eval_mode",
    "param_groups",
    "revive",
    "sigma_parameter_names",
    "sigmas",
]

# A dynamic layer whose mask spreads less than this over images is nearly static. A CIFAR-10 network at 0.018 changed 4
# of 10,000 predictions when every image got the mean sigma.
DYNAMIC_SPREAD = 0.02


@dataclass(frozen=True)
class DynamicMask:
    """What a dynamic layer does with a batch of images.

    Attributes:
        sigma: (B, 2) horizontal and vertical sigma in kernel taps, without sign.
        mask: (B, kH, kW) in [0, 1].
        live: (B, h) whether a hidden unit of the sigma module is above 0.
    """

    sigma: Tensor
    mask: Tensor
    live: Tensor

    @property
    def spread(self) -> float:
        """The standard deviation over images of the mask value that varies most, in [0, 0.5]."""
        return self.mask.std(0, correction=0).max().item()

    @property
    def live_shares(self) -> list[float]:
        """The share of images on which each hidden unit is above 0, in [0, 1]."""
        return self.live.float().mean(0).tolist()


@torch.no_grad()
def sigmas(model: nn.Module, images: Tensor | Sequence[Tensor] | None = None) -> dict[str, Tensor]:
    """Return the sigmas of a network's masks, in kernel taps.

    Args:
        model: any network, also inside DistributedDataParallel or `torch.compile`.
        images: input of the network, as `dynamic_masks` takes it; None for the static layers alone.

    Returns:
        Module name, without that of a wrapper -> (1,) sigma of a static layer, and with images (B, 2) horizontal and
        vertical sigma of a dynamic layer. On the CPU, in float32, without sign: only the square matters.

    Raises:
        ValueError: as for `dynamic_masks`.
    """
    static = {
        name: module.sigma.detach().abs().float().cpu()
        for name, module in unwrapped(model).named_modules()
        if isinstance(module, SGMConv2d)
    }
    if images is None:
        return static
    return {**static, **{name: found.sigma for name, found in dynamic_masks(model, images).items()}}


@torch.no_grad()
def dynamic_masks(model: nn.Module, images: Tensor | Sequence[Tensor]) -> dict[str, DynamicMask]:
    """Return the masks of the dynamic layers for a batch of images, on the CPU and in float32.

    Args:
        model: any network, as `sigmas` takes it. It is run on the images in eval mode, uncompiled and without
            communication between processes, as far as its last dynamic layer.
        images: (B, C, H, W) input of the network in floating point, B at least 1, or for a detector a list of B images
            (C, H, W) of any sizes, each of which is run by itself.

    Returns:
        Module name -> masks of a dynamic layer; empty for a network without one.

    Raises:
        ValueError: for no images, images that are not in floating point, or no dynamic layer that they reach.
    """
    found: dict[str, DynamicMask] = {}
    for name, (layer, x) in _dynamic_layers(model, images).items():
        sigma = torch.stack(layer.sigma_module(x), dim=1).abs().float().cpu()
        mask = elliptical_mask(sigma[:, 0], sigma[:, 1], layer.kernel_size)
        found[name] = DynamicMask(sigma, mask, layer.sigma_module.hidden(x).cpu() > 0)
    return found


@torch.no_grad()
def revive(
    model: nn.Module,
    images: Tensor | Sequence[Tensor],
    *,
    optimizer: Optimizer | None = None,
    generator: torch.Generator | None = None,
) -> dict[str, list[int]]:
    """Initialise the dead hidden units of a network's dynamic layers again, without changing its outputs on a batch.

    A hidden unit is dead if it is 0 for every image: it gets no gradient and remains 0. If all units are dead, every
    image gets the same mask. Call this before training, and then at the start of each epoch, for instance. With
    torch.distributed, all processes call it, each with its own images: they revive the units that are dead for all of
    these together, and get the same weights.

    Args:
        model: any network, run as `dynamic_masks` does. Layers that are frozen are left as they are.
        images: as `dynamic_masks` takes them, with at least two different images in one of the processes.
        optimizer: the optimizer of these parameters, whose momentum for the replaced weights is set to 0.
        generator: source of the new weights, on the CPU; None for torch's default one.

    Returns:
        Module name -> the units that were dead; empty if none was.

    Raises:
        ValueError: for fewer than two different images, and as for `dynamic_masks`.
    """
    model = unwrapped(model)
    if not are_different(images, model):
        received = f"shape {tuple(images.shape)}" if isinstance(images, Tensor) else f"a list of {len(images)}"
        raise ValueError(f"images: {received}: pass a batch (B, C, H, W) of at least two different images.")
    revived: dict[str, list[int]] = {}
    for name, (layer, x) in _dynamic_layers(model, images).items():
        module = layer.sigma_module
        if not all(parameter.requires_grad for parameter in module.parameters()):
            continue
        if units := module.revive(x, generator=generator):
            revived[name] = units
            for parameter, axis in ((module.fc_max.weight, 0), (module.fc_avg.weight, 0), (module.fc.weight, 1)):
                _forget(optimizer, parameter, axis, units)
    return revived


def are_different(images: Tensor | Sequence[Tensor], model: nn.Module) -> bool:
    """Tell whether a batch, as `dynamic_masks` takes it, holds at least two images that differ, in any process."""
    _check_images(images)
    different = any(image.ndim == 3 and not torch.equal(image, images[0]) for image in images)
    device = next((parameter.device for parameter in model.parameters()), None)
    return sum_over_processes(torch.tensor(int(different), device=device)).item() > 0


def clip_sigma_grad(model: nn.Module, max_norm: float = 0.005) -> None:
    """Scale down the gradients of every dynamic layer's sigma module whose norm is above a limit.

    One large step can leave hidden units at 0 for every image, or make a mask flat. Call this after ``backward()`` (and
    after unscaling, in mixed precision), before any other clipping.

    Args:
        model: any network.
        max_norm: largest norm of the gradient over the parameters of one sigma module, above 0, or ValueError.
    """
    if not isinstance(max_norm, Real) or not max_norm > 0:
        raise ValueError(f"max_norm={max_norm!r}: pass a gradient norm above 0, e.g. 0.005.")
    for module in model.modules():
        if isinstance(module, DGMConv2d):
            clip_grad_norm_(module.sigma_module.parameters(), max_norm)


def sigma_parameter_names(model: nn.Module) -> set[str]:
    """Return the names of the parameters that are sigmas: those of static layers, and the bias of dynamic ones.

    They include the parameters that a pruned or parametrized sigma is computed from. Weight decay on them narrows every
    mask whether or not the data asks for it.
    """
    names: set[str] = set()
    for name, module in model.named_modules():
        if isinstance(module, (SGMConv2d, DGMConv2d)):
            own = "sigma" if isinstance(module, SGMConv2d) else r"sigma_module\.fc\.(parametrizations\.)?bias"
            pattern = re.compile(rf"(parametrizations\.)?{own}([._]|$)")
            names.update(f"{name}.{key}".lstrip(".") for key, _ in module.named_parameters() if pattern.match(key))
    return names


def param_groups(
    model: nn.Module,
    lr: float,
    *,
    weight_decay: float = 1e-4,
    sigma_lr_scale: float = 1.0,
    sigma_weight_decay: float = 0.0,
    decay_norm_and_bias: bool = False,
) -> list[dict[str, Any]]:
    """Return parameter groups for your own training loop, with the sigmas in a group of their own.

    Args:
        model: any network; frozen parameters are left out.
        lr: learning rate of all parameters except the sigmas.
        weight_decay: weight decay of kernels and linear weights.
        sigma_lr_scale: the sigmas' learning rate is ``lr`` times this.
        sigma_weight_decay: weight decay of the sigmas. Plain SGD decays them like the weights, which moves a sigma
            without a gradient towards 0; the default does not.
        decay_norm_and_bias: whether other one-dimensional parameters are decayed, as plain SGD does.

    Returns:
        The groups that have parameters, of "decay", "no_decay" and "sigma" (their "name"), for any `torch.optim`
        optimizer.

    Raises:
        ValueError: for a setting below 0, or a network without trainable parameters.
    """
    settings = {"lr": lr, "weight_decay": weight_decay, "sigma_lr_scale": sigma_lr_scale}
    for name, value in {**settings, "sigma_weight_decay": sigma_weight_decay}.items():
        if not isinstance(value, (Real, Tensor)) or not value >= 0:
            raise ValueError(f"{name}={value!r}: pass a number, 0 or more.")
    names = sigma_parameter_names(model)
    members: dict[str, list[nn.Parameter]] = {"decay": [], "no_decay": [], "sigma": []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            flat = parameter.ndim <= 1 and not decay_norm_and_bias
            members["sigma" if name in names else "no_decay" if flat else "decay"].append(parameter)
    if not any(members.values()):
        raise ValueError(f"{type(model).__name__} has no parameter with requires_grad=True: nothing to train.")
    rates = {"decay": lr, "no_decay": lr, "sigma": lr * sigma_lr_scale}
    decays = {"decay": weight_decay, "no_decay": 0.0, "sigma": sigma_weight_decay}
    return [
        {"name": name, "params": params, "lr": rates[name], "weight_decay": decays[name]}
        for name, params in members.items()
        if params
    ]


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Run a network in eval mode, and restore the mode of every module afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


class _AllSeenError(Exception):
    """Every dynamic layer has had its input, so the rest of the network need not be run."""


def _dynamic_layers(model: nn.Module, images: Tensor | Sequence[Tensor]) -> dict[str, tuple[DGMConv2d, Tensor]]:
    """Return the dynamic layers that images reach in eval mode, and what their sigma modules see of each image.

    The tensor of a layer is (B, C, 1, 2): images of two pixels with the same largest and mean value of each channel.
    """
    model = unwrapped(model)
    layers = {name: module for name, module in model.named_modules() if isinstance(module, DGMConv2d)}
    if not layers:
        return {}
    _check_images(images)
    if not len(images):
        raise ValueError("images holds no image: pass a batch (B, C, H, W), or a list, of at least one image.")
    seen: list[dict[str, Tensor]] = []
    handles = []
    for name, layer in layers.items():

        def before(_module: nn.Module, inputs: tuple[Tensor], name: str = name) -> None:
            x = inputs[0]
            if not x.is_floating_point():
                raise ValueError(
                    f"images reach the layer {name!r} as {x.dtype}: pass them in floating point, normalised."
                )
            seen[-1][name] = _two_pixels(x if x.ndim == 4 else x.unsqueeze(0))
            if len(seen[-1]) == len(layers):
                raise _AllSeenError

        handles.append(layer.register_forward_pre_hook(before))
    device = next(iter(layers.values())).weight.device
    try:
        for batch in [images.to(device)] if isinstance(images, Tensor) else ([image.to(device)] for image in images):
            seen.append({})
            # compiled code would not call the hooks
            with torch.compiler.set_stance("force_eager"), eval_mode(model), suppress(_AllSeenError):
                model(batch)
            if not seen[-1]:
                raise ValueError(
                    f"images do not reach the dynamic layer {min(layers)!r} in eval mode: pass a network that runs it."
                )
    finally:
        for handle in handles:
            handle.remove()
    reached = [name for name in layers if name in seen[0]]  # an auxiliary head may run in training alone
    return {name: (layers[name], torch.cat([found[name] for found in seen])) for name in reached}


def _check_images(images: Any) -> None:
    if wrong := [type(image).__name__ for image in images if not isinstance(image, Tensor)]:
        raise TypeError(f"images holds {wrong[0]}: pass a tensor (B, C, H, W), or a list of tensors (C, H, W).")


def _two_pixels(x: Tensor) -> Tensor:
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    largest, mean = x.amax((2, 3), keepdim=True), x.mean((2, 3), keepdim=True)
    return torch.cat([largest, 2 * mean - largest], dim=3)


def _forget(optimizer: Optimizer | None, parameter: Tensor, axis: int, units: list[int]) -> None:
    """Set what an optimizer remembers of some rows or columns to 0."""
    for value in (optimizer.state.get(parameter) or {}).values() if optimizer is not None else ():
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            value.index_fill_(axis, torch.tensor(units, device=value.device), 0.0)
