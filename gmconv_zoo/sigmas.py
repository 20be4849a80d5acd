"""Reading sigmas out of a network, and giving them optimizer settings of their own."""

from typing import Any

import torch
from torch import Tensor, nn

from .layers import DGMConv2d, SGMConv2d

__all__ = ["param_groups", "sigma_parameter_names", "sigmas"]


@torch.no_grad()
def sigmas(model: nn.Module, images: Tensor | None = None) -> dict[str, Tensor]:
    """The sigmas of a network's masks, in kernel taps.

    Args:
        model: any network.
        images: (B, C, H, W) input for the dynamic layers, whose sigmas depend on it. The network is run once on
            it, in eval mode.

    Returns:
        Module name -> (1,) sigma of a static layer; with images also module name -> (B, 2) horizontal and
        vertical sigma of a dynamic layer. On the CPU, in float32, without sign: only the square matters.
    """
    static = {
        name: module.sigma.detach().abs().float().cpu()
        for name, module in model.named_modules()
        if isinstance(module, SGMConv2d)
    }
    return static if images is None else {**static, **_dynamic_sigmas(model, images)}


def sigma_parameter_names(model: nn.Module) -> set[str]:
    """Names of the parameters that are a sigma: static sigmas and the bias a dynamic layer starts from.

    Weight decay on them narrows every mask whether or not the data asks for it.
    """
    names = set()
    for name, module in model.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(module, SGMConv2d):
            names.add(f"{prefix}sigma")
        elif isinstance(module, DGMConv2d):
            names.add(f"{prefix}sigma_module.fc.bias")
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
    """Parameter groups for a training loop of one's own.

    Args:
        model: any network; frozen parameters are left out.
        lr: learning rate of everything but the sigmas.
        weight_decay: decay of kernels and linear weights.
        sigma_lr_scale: the sigmas' learning rate is ``lr`` times this.
        sigma_weight_decay: decay of the sigmas. Plain SGD on all parameters decays them like the weights, which
            drives a sigma without a gradient towards 0; the default does not.
        decay_norm_and_bias: whether other one-dimensional parameters are decayed, as plain SGD does.

    Returns:
        Up to three groups named "decay", "no_decay" and "sigma", for any `torch.optim` optimizer.

    Raises:
        ValueError: when a setting is negative or nothing is trainable.
    """
    settings = {"lr": lr, "weight_decay": weight_decay, "sigma_lr_scale": sigma_lr_scale}
    for name, value in {**settings, "sigma_weight_decay": sigma_weight_decay}.items():
        if value < 0:
            raise ValueError(f"{name}={value}: pass 0 or more.")
    names = sigma_parameter_names(model)
    members: dict[str, list[nn.Parameter]] = {"decay": [], "no_decay": [], "sigma": []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            flat = parameter.ndim <= 1 and not decay_norm_and_bias
            members["sigma" if name in names else "no_decay" if flat else "decay"].append(parameter)
    decays = {"decay": weight_decay, "no_decay": 0.0, "sigma": sigma_weight_decay}
    groups = [
        {
            "name": name,
            "params": params,
            "lr": lr * (sigma_lr_scale if name == "sigma" else 1.0),
            "weight_decay": decays[name],
        }
        for name, params in members.items()
        if params
    ]
    if not groups:
        raise ValueError(f"{type(model).__name__} has no parameter with requires_grad=True: nothing to train.")
    return groups


def _dynamic_sigmas(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    seen: dict[str, Tensor] = {}
    handles = []
    for name, module in model.named_modules():
        if isinstance(module, DGMConv2d):

            def keep(_module: nn.Module, _inputs: Any, output: tuple[Tensor, Tensor], name: str = name) -> None:
                seen[name] = torch.stack(output, dim=1).abs().float().cpu()

            handles.append(module.sigma_module.register_forward_hook(keep))
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()(images)
    finally:
        for module, training in modes.items():
            module.training = training
        for handle in handles:
            handle.remove()
    return seen
