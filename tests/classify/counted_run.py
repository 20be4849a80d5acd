"""Started by a launcher in several processes: counts correct images of several sets and prints all counts once."""

import io
import json
import sys

import timm
from accelerate import Accelerator
from PIL import Image

from gmconv_zoo.classify.count import BadImagesError, count_correct
from gmconv_zoo.classify.validate import validate
from gmconv_zoo.classify.validation_settings import ValidationSettings
from gmconv_zoo.data.eval_data import open_eval_data
from gmconv_zoo.data.eval_images import EvalImages, EvalStream

from .linear import NAME, fixture_linear, image_bytes


class Subset(EvalImages):
    """The first images of a set."""

    size = 0

    def __len__(self) -> int:
        return self.size


class Generated:
    """A stream that one process reads, of images of class 2 and 3 by turns, all labelled 2."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __iter__(self):
        for index in range(self.size):
            yield Image.open(io.BytesIO(image_bytes(2 + index % 2))), 2


def main(folder: str, broken: str) -> None:
    accelerator = Accelerator(cpu=True)
    model = fixture_linear().eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    source = open_eval_data(folder)
    images = Subset(source, transform, mode="RGB", shape=(3, 4, 4), outputs=[17, 500, 999])
    found = {"processes": accelerator.num_processes}
    for size in (1, 2, 3, 5, 8, 12, 13):
        Subset.size = size
        for batch_size in (1, 2, 4, 16):
            score, _ = count_correct(model, images, accelerator=accelerator, batch_size=batch_size)
            found[f"{size} by {batch_size}"] = [score.count, score.top1, score.top5]
    for size in (3, 4, 5, 6, 7, 12, 13):
        stream = Generated(size)
        images = EvalStream(type(source)("made", stream, None, stream=True), transform, mode="RGB")
        score, _ = count_correct(model, images, accelerator=accelerator, batch_size=2)
        found[f"stream {size}"] = [score.count, score.top1, score.top5]
    rows = validate(["nothing/of/this", NAME], source, ValidationSettings(workers=0, batch_size=3), progress=False)
    found["rows"] = [[row.error[:10], row.score and row.score.top1] for row in rows]
    try:
        validate([NAME], open_eval_data(broken), ValidationSettings(workers=0, batch_size=2), progress=False)
    except BadImagesError as error:
        found["broken"] = str(error)
    if accelerator.is_main_process:
        print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
