"""The device and the precision that a name stands for."""

import torch

__all__ = ["PRECISIONS", "usable_device"]

# Name of a precision to the type of autocast
PRECISIONS = {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def usable_device(name: str) -> torch.device:
    """Return the device of torch's name, e.g. "cpu" or "cuda:1", once a tensor has been there and back.

    Raises:
        ValueError: when torch has no such device, or cannot use it on this machine.
    """
    try:
        torch.zeros(1, device=name).cpu()
    except (AssertionError, RuntimeError) as error:  # the first is that of a torch without CUDA
        here = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        known = '"cpu"' if here is None else f'"cpu" or "{here.type}"'
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device={name!r} cannot be used ({reason}): pass {known} (--device).") from error
    return torch.device(name)
