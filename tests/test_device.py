import pytest
import torch

from gmconv_zoo.device import usable_device


@pytest.mark.parametrize("name", ["foo", "meta", "cuda:99"])
def test_a_device_that_cannot_compute_is_named_with_what_to_pass(name):
    with pytest.raises(ValueError, match=rf"device='{name}' cannot be used \(.*\): pass \"cpu\".* \(--device\)"):
        usable_device(name)


def test_the_cpu_can_be_used():
    assert usable_device("cpu") == torch.device("cpu")
