"""Finding out which parameter a run broke on."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

__all__ = ["NonFiniteError", "first_nonfinite", "nonfinite_message"]


class NonFiniteError(RuntimeError):
    """Training met a NaN or an infinity. The message names the step and the parameter."""


def first_nonfinite(tensors: Mapping[str, Tensor | None]) -> str | None:
    """The first name, in order, whose tensor holds a NaN or an infinity; None when all are finite.

    Args:
        tensors: by name; a missing tensor (None) counts as finite.
    """
    for name, tensor in tensors.items():
        if tensor is not None and not torch.isfinite(tensor.detach()).all():
            return name
    return None


def nonfinite_message(model: nn.Module, symptom: str, step: int) -> str:
    """What went wrong, where it is first seen in the order of the network's layers, and what to try.

    Args:
        model: the network, with the gradients of the bad loss where there are any.
        symptom: what was noticed.
        step: optimizer update it happened in, counted from 1.
    """
    if parameter := first_nonfinite(dict(model.named_parameters())):
        where = f"{parameter} is the first parameter that is not finite"
    elif buffer := first_nonfinite(dict(model.named_buffers())):
        where = f"all parameters are finite, but the buffer {buffer} is not"
    elif gradient := first_nonfinite({name: p.grad for name, p in model.named_parameters()}):
        where = f"all parameters are finite still; {gradient} is the first whose gradient is not"
    else:
        where = "all parameters and gradients are finite: look at the images and labels of this batch"
    return f"stopped at step {step}: {symptom}; {where}. Try a lower lr, warmup_epochs, or clip_grad."
