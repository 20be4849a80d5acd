"""A training's folder and images with names that would be harmful in HTML, and the report about them."""

import json
from pathlib import Path

import timm
import torch
from PIL import Image

import gmconv_zoo
from gmconv_zoo.reports import classifier as module

CLASSES = ["<script>alert(1)", "b & $c$", "d"]
FILE = '"><img src=x onerror=alert(2)>.png'


def noise(seed: int = 0, size: int = 32) -> Image.Image:
    pixels = torch.randint(0, 256, (size, size, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return Image.fromarray(pixels.numpy())


def save_images(folder: Path, count: int = 5) -> Path:
    """Class folders with images of noise; the second file of each has a harmful name."""
    for place, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            noise(10 * place + number).save(folder / name / (FILE if number == 1 else f"{number}.png"))
    return folder


def save_run(folder: Path) -> Path:
    """A network with the records of its training."""
    torch.manual_seed(1)
    model = timm.create_model("gmconv_cifar_resnet20", num_classes=3)
    gmconv_zoo.save(model, folder, label_names=CLASSES)
    (folder / "summary.csv").write_text("epoch,train_loss,val_top1_percent\n1,1.2,\n2,0.9,62.5\n3,0.7,40\n")
    score = {"count": 8, "top1": 5, "top1_percent": 62.5}
    record = {"score": score, "dataset": "held-out part of photos", "start": str(folder), "training_images": 32}
    (folder / "results.json").write_text(json.dumps({**record, "split_made": True}))
    return folder


def write_report(folder: Path, monkeypatch, **options) -> Path:
    """The whole report, with an image that cannot be read; the speed is hardly measured."""
    monkeypatch.setattr(module, "_PASSES", 1)
    data = save_images(folder / "photos")
    (data / "d" / "broken.png").write_bytes(b"no image")
    output = folder / "out" / "report.html"
    return gmconv_zoo.report(str(save_run(folder / "run")), data, output=output, skip_bad=True, **options)
