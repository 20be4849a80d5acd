"""Random numbers: the state of every generator that a training run may draw from, and seeds of one's own."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["drawing_from", "mix_seed", "rng_state", "sample_seed", "set_rng_state"]


def rng_state() -> dict[str, Any]:
    """The states of Python's, NumPy's and torch's global generators in this process, as plain values and tensors."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(words), gauss],
        "numpy": [name, torch.from_numpy(np.asarray(keys, np.int64)), int(position), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
    }


def set_rng_state(state: dict[str, Any]) -> None:
    """Put this process's generators where `rng_state` found them; a GPU's only where there is one in use."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Draw from a seed of one's own, 0 to 2^63 - 1; the CPU's generators are afterwards as they were before."""
    state = rng_state()
    try:
        random.seed(seed)
        np.random.seed(seed % 2**32)  # it takes no more bits
        torch.default_generator.manual_seed(seed)
        yield
    finally:
        set_rng_state({**state, "cuda": None})


def mix_seed(seed: int, epoch: int, stream: int) -> int:
    """One generator seed per (seed, epoch, stream), far apart for neighbours."""
    return (seed * 0x9E3779B1 + epoch * 0x85EBCA77 + stream * 0xC2B2AE3D) % (1 << 63)


def sample_seed(seed: int, epoch: int, index: int) -> int:
    """Return the seed from which the augmentation of one sample in one epoch is drawn."""
    return mix_seed(mix_seed(seed, epoch, 1), index, 2) % 2**32
