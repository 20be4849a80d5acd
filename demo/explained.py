"""What the app shows for one image, and the example images, which are drawn here."""

import io
import math
import tempfile
from pathlib import Path
from typing import NamedTuple

import timm
import torch
from PIL import Image, ImageDraw

import gmconv_zoo
from gmconv_zoo.visualize.explanation_figure import draw_explanation

__all__ = ["EXAMPLES", "Explained", "explain_file", "open_network", "save_examples"]

NETWORK = "gmconv_cifar_resnet20.gm_cifar10"
# Means over 64 images of CIFAR-10's test set, in taps: see docs/reports.
MEAN_SIGMA = (1.906, 1.128)


class Explained(NamedTuple):
    """What is shown for one image.

    Attributes:
        classes: probability of each of the most probable classes.
        mask: picture of the first layer's mask.
        evidence: picture of the evidence for the first class.
        words: the mask in a sentence of Markdown.
    """

    classes: dict[str, float]
    mask: Image.Image
    evidence: Image.Image
    words: str


def open_network() -> torch.nn.Module:
    """Return the network, whose weights come with the package."""
    return timm.create_model(NETWORK, pretrained=True).eval()


def explain_file(model: torch.nn.Module, file: str | Path) -> Explained:
    """Explain the network's answer for an image.

    Args:
        model: from `open_network`.
        file: an image in any mode and of any size.

    Raises:
        UnreadableImageError: when the image cannot be read.
    """
    content = io.BytesIO(Path(file).read_bytes())  # without a name, which would be the server's path in a message
    found = gmconv_zoo.explain(model, content, mean_sigma=MEAN_SIGMA)
    drawn = []
    with tempfile.TemporaryDirectory() as folder:
        for panel in ("mask", "evidence"):
            with Image.open(draw_explanation(found, Path(folder, f"{panel}.png"), panels=[panel])) as picture:
                drawn.append(picture.convert("RGB"))
    values = [math.exp(-1 / (2 * sigma**2)) for sigma in found.sigma]
    words = (
        f"For this image the first layer keeps **{100 * values[0]:.0f} %** of the weights left and right of the centre "
        f"and **{100 * values[1]:.0f} %** of those above and below it. Its sigmas are {found.sigma[0]:.2f} taps "
        f"horizontally and {found.sigma[1]:.2f} vertically; their means over CIFAR-10 are {MEAN_SIGMA[0]:.2f} and "
        f"{MEAN_SIGMA[1]:.2f}."
    )
    return Explained(dict(found.classes), drawn[0], drawn[1], words)


def save_examples(folder: str | Path) -> list[str]:
    """Draw the example images into a folder; returns their paths."""
    paths = []
    for name, draw in EXAMPLES.items():
        image = Image.new("RGB", (4 * _SIDE, 4 * _SIDE))
        draw(ImageDraw.Draw(image))
        paths.append(str(Path(folder, f"{name}.png")))
        image.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS).save(paths[-1])
    return paths


_SIDE = 160  # drawn four times as large, so that edges are smooth


def _sky(draw: ImageDraw.ImageDraw, top: tuple[int, int, int], bottom: tuple[int, int, int]) -> None:
    for row in range(4 * _SIDE):
        share = row / (4 * _SIDE)
        draw.line((0, row, 4 * _SIDE, row), tuple(round(a + share * (b - a)) for a, b in zip(top, bottom, strict=True)))


def _airplane(draw: ImageDraw.ImageDraw) -> None:
    _sky(draw, (90, 150, 220), (190, 215, 240))
    draw.polygon([(300, 330), (470, 150), (520, 150), (400, 330)], (150, 155, 165))
    draw.ellipse((70, 285, 590, 370), (235, 238, 242))
    draw.polygon([(80, 320), (60, 190), (110, 190), (180, 300)], (200, 60, 60))
    draw.polygon([(270, 340), (390, 340), (300, 520), (245, 520)], (170, 175, 185))


def _ship(draw: ImageDraw.ImageDraw) -> None:
    _sky(draw, (150, 190, 230), (225, 235, 245))
    draw.rectangle((0, 400, 640, 640), (40, 90, 140))
    draw.polygon([(60, 340), (590, 340), (520, 450), (120, 450)], (60, 65, 75))
    draw.rectangle((180, 250, 460, 340), (240, 240, 235))
    draw.rectangle((330, 150, 400, 250), (200, 70, 50))


def _car(draw: ImageDraw.ImageDraw) -> None:
    _sky(draw, (205, 215, 220), (225, 225, 220))
    draw.rectangle((0, 430, 640, 640), (110, 110, 112))
    draw.polygon([(150, 320), (230, 210), (430, 210), (520, 320)], (180, 25, 30))
    draw.polygon([(180, 315), (245, 235), (325, 235), (325, 315)], (60, 75, 90))
    draw.polygon([(340, 315), (340, 235), (420, 235), (485, 315)], (60, 75, 90))
    draw.rounded_rectangle((50, 310, 600, 440), 45, (200, 30, 35))
    for x in (110, 430):
        draw.ellipse((x, 380, x + 120, 500), (25, 25, 28))
        draw.ellipse((x + 35, 415, x + 85, 465), (170, 170, 175))


def _stripes(draw: ImageDraw.ImageDraw) -> None:
    for place in range(0, 4 * _SIDE, 80):
        draw.rectangle((0, place, 4 * _SIDE, place + 39), (240, 200, 60))
        draw.rectangle((0, place + 40, 4 * _SIDE, place + 79), (40, 60, 120))


EXAMPLES = {"airplane": _airplane, "ship": _ship, "car": _car, "stripes": _stripes}
