"""Finding out which layer or parameter a run broke on."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["NonFiniteError", "first_nonfinite", "nonfinite_message", "nonfinite_output"]


class NonFiniteError(RuntimeError):
    """Training met a NaN or an infinity. The message names the step and the layer or parameter it comes from."""


def first_nonfinite(tensors: Mapping[str, Tensor | None]) -> str | None:
    """The first name, in order, whose tensor holds a NaN or an infinity; None when all are finite, or missing."""
    for name, tensor in tensors.items():
        if tensor is not None and not torch.isfinite(tensor.detach()).all():
            return name
    return None


def nonfinite_output(model: nn.Module, forward: Callable[[], Any]) -> str:
    """Repeat a forward pass on a bad batch, and say which layer's output or input is the first that is not finite."""
    found: list[str] = []

    def look(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, inputs: Any, output: Any) -> None:
            if not found and first_nonfinite(_tensors(output)):
                at = "input of {} is not finite already" if first_nonfinite(_tensors(inputs)) else "output of {} is not"
                found.append(at.format(name))

        return hook

    hooks = [module.register_forward_hook(look(name)) for name, module in model.named_modules() if name]
    try:
        with torch.no_grad():
            forward()
    finally:
        for handle in hooks:
            handle.remove()
    return found[0] if found else ""


def nonfinite_message(model: nn.Module, symptom: str, step: int, output: str = "") -> str:
    """Say what was noticed at an optimizer update, counted from 1, where it comes from, and what to try.

    The network has the gradients of the bad loss where there are any; ``output`` is what `nonfinite_output` found.
    """
    backward = {name: parameter.grad for name, parameter in reversed(list(model.named_parameters()))}
    if parameter := first_nonfinite(dict(model.named_parameters())):
        where = f"{parameter} is the first parameter that is not finite"
    elif output:
        where = f"all parameters are finite still; the {output}"
    elif buffer := first_nonfinite(dict(model.named_buffers())):
        where = f"all parameters are finite, but the buffer {buffer} is not"
    elif gradient := first_nonfinite(backward):
        where = f"all parameters are finite still; going backward, {gradient} is the first whose gradient is not"
    else:
        where = "all parameters and gradients are finite: look at the images and labels of this batch"
    return f"stopped at step {step}: {symptom}; {where}. Try a lower lr, warmup_epochs, or clip_grad."


def _tensors(values: Any) -> dict[str, Tensor]:
    values = values if isinstance(values, (tuple, list)) else (values,)
    return {str(place): value for place, value in enumerate(values) if isinstance(value, Tensor)}
