"""Started by a launcher: the reader of one process fails within a model, and there is another model to follow."""

import dataclasses
import os
import sys

import gmconv_zoo  # noqa: F401  registers the models
from gmconv_zoo.classify.validation_run import run_validation
from gmconv_zoo.classify.validation_settings import ValidationSettings
from gmconv_zoo.data.eval_data import open_eval_data

from .counted_run import Generated
from .linear import NAME


class Failing:
    """A folder's reader, or a stream, that fails after three images in one process."""

    def __init__(self, reader, rank: int, failing: int) -> None:
        self.reader, self.fails = reader, rank == failing

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, index: int):
        if self.fails and index >= 3:
            raise KeyError("the disk is gone")
        return self.reader[index]

    def __iter__(self):
        for index, pair in enumerate(Generated(13)):
            if self.fails and index >= 3:
                raise KeyError("the disk is gone")
            yield pair


def main(folder: str, kind: str, failing: str) -> None:
    source = open_eval_data(folder)
    source = dataclasses.replace(source, reader=Failing(source.reader, int(os.environ["RANK"]), int(failing)))
    if kind == "stream":
        source = dataclasses.replace(source, class_names=None, count=13, stream=True)
    print(run_validation([NAME, NAME], source, ValidationSettings(workers=0, batch_size=2), cpu=True).text)


if __name__ == "__main__":
    main(*sys.argv[1:])
