"""Started by a launcher: the reader of one process fails within a model, and there is another model to follow."""

import dataclasses
import os
import sys
from itertools import islice

import gmconv_zoo  # noqa: F401  registers the models
from gmconv_zoo.data import eval_images
from gmconv_zoo.data.eval_data import open_eval_data
from gmconv_zoo.streams.read import stream_images
from gmconv_zoo.validation.run import run_validation
from gmconv_zoo.validation.settings import ValidationSettings

from .counted_run import shard
from .linear import NAME


class Failing:
    """A folder's reader that fails after three images in one process."""

    def __init__(self, reader, rank: int, failing: int) -> None:
        self.reader, self.fails = reader, rank == failing

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, index: int):
        if self.fails and index >= 3:
            raise KeyError("the disk is gone")
        return self.reader[index]


def failing_stream(reader, mode):
    yield from islice(stream_images(reader, mode), 3)
    raise KeyError("the disk is gone")


def main(folder: str, kind: str, failing: str) -> None:
    if kind == "stream":
        source = open_eval_data("wds/made", root=shard(13), split="made.tar|13")
        if os.environ["RANK"] == failing:
            eval_images.stream_images = failing_stream
    else:
        source = open_eval_data(folder)
        source = dataclasses.replace(source, reader=Failing(source.reader, int(os.environ["RANK"]), int(failing)))
    print(run_validation([NAME, NAME], source, ValidationSettings(workers=0, batch_size=2), cpu=True).text)


if __name__ == "__main__":
    main(*sys.argv[1:])
