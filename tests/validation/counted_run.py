"""Started by a launcher in several processes: counts correct images of several sets and prints all counts once."""

import json
import sys
import tempfile
from pathlib import Path

import timm
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader

from gmconv_zoo.classify import networks
from gmconv_zoo.classify.evaluate import Answers, BadImagesError, Score
from gmconv_zoo.data.eval_data import open_eval_data
from gmconv_zoo.data.eval_images import EvalImages, EvalStream
from gmconv_zoo.engine.evaluate import evaluate
from gmconv_zoo.validation.run import run_validation
from gmconv_zoo.validation.settings import ValidationSettings

from ..streams.shards import write_tar
from .linear import NAME, Hungry, fixture_linear, image_bytes


def shard(size: int, bad: int = 0) -> str:
    """A folder with a shard of images of class 2 and 3 by turns, all labelled 2, after some that are no images."""
    folder = Path(tempfile.mkdtemp())
    images = [b"no image"] * bad + [image_bytes(2 + index % 2) for index in range(size)]
    named = ((f"{index:02}.{suffix}", image) for index, image in enumerate(images) for suffix in ("png", "cls"))
    write_tar(folder / "made.tar", ((name, b"2" if name.endswith("cls") else image) for name, image in named))
    return str(folder)


def counted(model: nn.Module, images: EvalImages | EvalStream, accelerator: Accelerator, batch_size: int) -> Score:
    answers = Answers(images)
    loader = accelerator.prepare(DataLoader(images, batch_size))
    evaluate(model, loader, answers, accelerator=accelerator)
    return answers.score


def main(folder: str, broken: str) -> None:
    accelerator = Accelerator(cpu=True)
    model = fixture_linear().eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    source = open_eval_data(folder)
    found = {"processes": accelerator.num_processes}
    for size in (1, 2, 3, 5, 8, 12, 13):
        images = EvalImages(source.part(range(size)), transform, shape=(3, 4, 4), outputs=[17, 500, 999])
        for batch_size in (1, 2, 4, 16):
            score = counted(model, images, accelerator, batch_size)
            found[f"{size} by {batch_size}"] = [score.count, score.top1, score.top5]
    for size in (3, 4, 5, 6, 7, 12, 13):
        stream = open_eval_data("wds/made", root=shard(size), split=f"made.tar|{size}")
        images = EvalStream(stream, transform, shape=(3, 4, 4))
        score = counted(model, images, accelerator, 2)
        found[f"stream {size}"] = [score.count, score.top1, score.top5]
    rows = run_validation(["nothing/of/this", NAME], source, ValidationSettings(workers=0, batch_size=3), cpu=True).rows
    found["rows"] = [[row.error[:10], row.score and row.score.top1] for row in rows]
    try:
        run_validation([NAME], open_eval_data(broken), ValidationSettings(workers=0, batch_size=2), cpu=True)
    except BadImagesError as error:
        found["broken"] = str(error)
    stream = open_eval_data("wds/made", root=shard(8, bad=2), split="made.tar|10")
    try:
        run_validation([NAME], stream, ValidationSettings(workers=0, batch_size=2), cpu=True)
    except BadImagesError as error:
        found["broken stream"] = "made.tar, image 00 (Unidentified" in str(error)
    settings = ValidationSettings(workers=0, batch_size=2, skip_bad=True)
    (row,) = run_validation([NAME], stream, settings, cpu=True).rows
    found["skipping stream"] = [row.score and row.score.count, row.bad]
    little = 2 if accelerator.is_main_process else 100  # the others have to hear of it
    networks.open_model = lambda name: Hungry(model, little)
    hungry = ValidationSettings(workers=0, batch_size=8, retry=True)
    (row,) = run_validation(["hungry"], source, hungry, cpu=True).rows
    found["retried"] = [row.score and row.score.top1, row.details["batch_size"]]
    if accelerator.is_main_process:
        print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
