"""Images read at every use: those that cannot be are found beforehand, by index."""

import os

import pytest
import torch

from gmconv_zoo.data.lazy_images import find_unreadable, loader_processes
from gmconv_zoo.images.pixels import UnreadableImageError


class Source:
    def __len__(self):
        return 70

    def read(self, index):
        if index in (0, 31, 32, 69):
            raise UnreadableImageError(f"{index}.png (cut off)")


def test_unreadable_images_are_found_by_index_and_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    state = torch.get_rng_state()
    assert find_unreadable(Source()) == {index: f"{index}.png (cut off)" for index in (0, 31, 32, 69)}
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not tie processes to cores")
def test_loader_processes_are_as_many_as_the_cores_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 9})
    assert loader_processes() == 3
