from types import SimpleNamespace

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, TensorDataset

from gmconv_zoo.engine.accumulation import UpdateParts

BATCH, PARTS = 4, 2


def gradients(values, processes, rank):
    """The gradient of each update in one process: of w * x, whose mean over images is the mean of x."""
    shard = BatchSamplerShard(BatchSampler(range(len(values)), BATCH, False), processes, rank, split_batches=True)
    loader = DataLoader(TensorDataset(values), batch_sampler=shard)
    accelerator = SimpleNamespace(num_processes=processes, process_index=rank, gradient_accumulation_steps=PARTS)
    parts, weight, found = UpdateParts(accelerator, loader), nn.Parameter(torch.ones(())), []
    for number, batch in enumerate(loader, start=1):
        last = number == len(loader)
        (own,), counts = parts.own(batch, last=last)
        ((weight * own).mean() * parts.weight(len(own) * counts, last=last) / PARTS).backward()
        if number % PARTS == 0 or last:
            parts.finish([weight])
            found.append(weight.grad.item())
            weight.grad = None
    return found


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("images", [16, 15, 14, 13, 12, 11, 9, 3, 1])
def test_every_image_of_an_update_weighs_the_same_in_any_number_of_processes(images, processes):
    values = torch.randn(images, generator=torch.Generator().manual_seed(images))
    found = torch.tensor([gradients(values, processes, rank) for rank in range(processes)]).mean(0)
    torch.testing.assert_close(found, torch.stack([update.mean() for update in values.split(BATCH * PARTS)]))


@pytest.mark.parametrize("rank", [0, 1])
def test_lists_of_images_lose_the_repeated_images_and_no_channels(rank):
    images, targets = [torch.rand(3, 5, 4) for _ in range(2)], [{"boxes": torch.rand(9, 4)} for _ in range(2)]
    shard = BatchSamplerShard(BatchSampler(range(7), BATCH, False), 2, rank, split_batches=True)
    accelerator = SimpleNamespace(num_processes=2, process_index=rank, gradient_accumulation_steps=1)
    parts = UpdateParts(accelerator, DataLoader(TensorDataset(torch.rand(7)), batch_sampler=shard))
    own, counts = parts.own((images, targets), last=True)
    assert counts
    assert [len(part) for part in own] == [2 - rank] * 2  # 7 images are a batch of 4 and one of 3
    assert own[0][0] is images[0]
    assert own[1][0] is targets[0]
