"""A training run that is killed again and again: python -m tests.engine.killed_run FOLDER KILLS SEED."""

import itertools
import json
import multiprocessing
import os
import random
import signal
import sys
from functools import partial
from pathlib import Path

from torch import nn

from gmconv_zoo.files.state_file import read_state

from .nets import SHORT, tensor_loaders, tiny_net, train, write_weights

RECIPE = SHORT.override(epochs=4, ema_decay=0.9)
loaders = partial(tensor_loaders, 52, crop_padding=2, flip=True, seed=3)


def network():
    net = tiny_net()
    net.insert(5, nn.Dropout(0.3))  # draws from the global generator at every step
    return net


def run(folder, every, last=None):
    """Train to the end, or go on from what an earlier process left, with a checkpoint ``every`` so many batches.

    The process kills itself at the step or write ``last``, counted from its start; None for never.
    """
    moments = itertools.count(1)

    def pass_moment(*_):
        if next(moments) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    fsync = os.fsync
    os.fsync = lambda handle: (pass_moment(), fsync(handle))  # so that some are killed while writing
    net = network()
    net.register_forward_hook(pass_moment)
    train(net, *loaders(), RECIPE, output=folder, checkpoints=True, resume=True, save_every=every, progress=False)
    write_weights(net, Path(folder, "final.safetensors"))


def kill_often(folder, every, kills, seed):
    """Where the checkpoint stood after each kill, as (epoch, batch)."""
    drawn = random.Random(seed)
    seen = []
    for _ in range(kills):
        _fork(folder, every, drawn.randint(2, max(8, 100 // kills)))
        last = Path(folder, "checkpoints", "last.safetensors")
        progress = read_state(last)["progress"] if last.exists() else {"epoch": 0, "batch": 0}
        seen.append((progress["epoch"], progress["batch"]))
    return seen


def _fork(folder, every, last=None):
    process = multiprocessing.get_context("fork").Process(target=run, args=(folder, every, last))
    process.start()
    process.join()


if __name__ == "__main__":  # nothing is computed before a fork: threads would not survive it
    folder, kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    _fork(f"{folder}/whole", None)
    seen = kill_often(f"{folder}/killed", 2, kills, seed)
    _fork(f"{folder}/killed", 2)
    print(json.dumps(seen))
