"""Two processes of DistributedDataParallel that revive a dynamic layer, and one that reads it alone."""

import sys

import torch
import torch.distributed as dist
from torch import nn

from gmconv_zoo import DGMConv2d, revive, sigmas


def run(rank: int, address: str) -> None:
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    torch.manual_seed(0)
    net = nn.Sequential(nn.BatchNorm2d(3), DGMConv2d(3, 4, 3))  # whose buffers every wrapped forward pass shares
    module = net[1].sigma_module
    with torch.no_grad():
        module.fc_avg.weight.zero_()
        module.fc_max.weight[1] = -1.0  # dead
        module.fc_max.weight[2] = torch.tensor([1.0, -1.0, 0.0]).reshape(3, 1, 1)  # dead for the first process alone
    wrapped = nn.parallel.DistributedDataParallel(net)
    torch.manual_seed(rank)
    bright = torch.tensor([1.0, 9.0, 1.0] if rank == 0 else [9.0, 1.0, 1.0]).reshape(3, 1, 1)
    images = (torch.rand(3 + rank, 3, 8, 8) + 0.5) * bright
    first, own = (torch.Generator().manual_seed(seed) for seed in (0, rank))
    assert revive(wrapped, images, generator=own) == {"1": [1]}
    drawn = torch.empty(3, 1, 1).uniform_(-(3**-0.5), 3**-0.5, generator=first)
    assert torch.equal(module.fc_max.weight[1].abs(), drawn.abs())  # by the first process
    for weight in module.parameters():
        found = [torch.empty_like(weight) for _ in range(2)]
        dist.all_gather(found, weight.detach())
        assert torch.equal(*found)
    assert revive(wrapped, images[: 1 + rank]) == {}  # the first process has one image
    if rank == 0:
        assert sigmas(wrapped, images)["1"].shape == (3, 2)
    wrapped(images).sum().backward()
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.multiprocessing.start_processes(run, (f"file://{sys.argv[1]}",), nprocs=2, start_method="fork")
