"""Started by a launcher: the reader of one process fails within a model, and there is another model to follow."""

import os
import sys
from itertools import islice

import gmconv_zoo  # noqa: F401  registers the models
from gmconv_zoo.data import eval_images
from gmconv_zoo.data.eval_data import open_eval_data
from gmconv_zoo.images.image_source import ImageSource
from gmconv_zoo.streams.read import stream_images
from gmconv_zoo.validation.run import run_validation
from gmconv_zoo.validation.settings import ValidationSettings

from .counted_run import shard
from .linear import NAME

read = ImageSource.read


def failing_read(source: ImageSource, index: int):
    if index >= 3:
        raise KeyError("the disk is gone")
    return read(source, index)


def failing_stream(reader, mode):
    yield from islice(stream_images(reader, mode), 3)
    raise KeyError("the disk is gone")


def main(folder: str, kind: str, failing: str) -> None:
    if os.environ["RANK"] == failing:
        ImageSource.read, eval_images.stream_images = failing_read, failing_stream
    if kind == "stream":
        source = open_eval_data("wds/made", root=shard(13), split="made.tar|13")
    else:
        source = open_eval_data(folder)
    print(run_validation([NAME, NAME], source, ValidationSettings(workers=0, batch_size=2), cpu=True).text)


if __name__ == "__main__":
    main(*sys.argv[1:])
