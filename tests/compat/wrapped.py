"""Run by torchrun in two gloo processes: every model under DDP and FSDP2, compared with the network alone.

Each process has half of a batch; gradients must be those of the whole. Process 0 writes what it found as JSON.
"""

import copy
import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from .cases import MODELS, create, images


def gradients(net: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """By parameter, of the mean over a batch of a loss per image."""
    net.zero_grad()
    net(x).square().sum(1).mean().backward()
    found = {}
    for name, parameter in net.named_parameters():
        value = parameter.grad.full_tensor() if isinstance(parameter.grad, DTensor) else parameter.grad
        found[name.removeprefix("module.")] = value.clone()
    return found


def compare(wrapped: nn.Module, expected: dict[str, torch.Tensor], x: torch.Tensor) -> str:
    found = gradients(wrapped, x)
    for name, value in expected.items():
        if not torch.allclose(found[name], value, rtol=1e-3, atol=1e-3 * float(value.abs().max()) + 1e-6):
            return f"{name}: gradients differ by {float((found[name] - value).abs().max()):.2e}"
    return ""


def sharded(net: nn.Module) -> nn.Module:
    net = fully_shard(net)
    whole = [name for name, parameter in net.named_parameters() if not isinstance(parameter, DTensor)]
    if whole:
        raise RuntimeError(f"{whole[0]} is not sharded")
    return net


def main(path: Path) -> None:
    dist.init_process_group("gloo")
    rank, whole = dist.get_rank(), images(4)
    half = whole[2 * rank : 2 * rank + 2]
    outcome: dict[str, dict[str, str]] = {"ddp": {}, "fsdp": {}}
    for model in MODELS:
        net = create(model)
        expected = gradients(net, whole)
        for name, wrap in (("ddp", DistributedDataParallel), ("fsdp", sharded)):
            try:
                outcome[name][model] = compare(wrap(copy.deepcopy(net)), expected, half)
            except Exception as error:  # whatever a wrapper raises is the outcome
                outcome[name][model] = f"{type(error).__name__}: {error}"
    if rank == 0:
        path.write_text(json.dumps(outcome))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
