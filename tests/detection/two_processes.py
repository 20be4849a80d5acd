"""A training to be started as one process or by torchrun as several: two_processes.py FOLDER PARTS.

Each process draws the boxes that it trains on. Here the first ones are taken instead, as many of every image, so that
the loss is the mean over the images whatever process they are in.
"""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gmconv_zoo.detection import heads, train
from tests.detection.runs import run


class First:
    """Take the first boxes of an image, a quarter of them on objects at most."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __call__(self, labels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        chosen = []
        for found in labels:
            positive = (found >= 1) & ((found >= 1).cumsum(0) <= self.count // 4)
            rest = self.count - positive.sum()
            chosen.append((positive, (found == 0) & ((found == 0).cumsum(0) <= rest)))
        return [positive for positive, _ in chosen], [negative for _, negative in chosen]


if __name__ == "__main__":
    output, parts = Path(sys.argv[1]), int(sys.argv[2])
    build = train.build

    def small(*args, **options):
        detector = build(*args, **options)
        detector.rpn.fg_bg_sampler = First(64)
        detector.roi_heads.fg_bg_sampler = First(16)
        return detector

    accelerator = train.default_accelerator(cpu=True, gradient_accumulation_steps=parts)
    data = output.parent / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heads, "_HIDDEN", 16)
        patch.setattr(train, "build", small)
        torch.manual_seed(0)
        model = {"backbone": "test_resnet", "frozen_stages": -1}  # with batch norms that use their stored statistics
        weights = data / f"start-{output.name}-{accelerator.process_index}.pth"
        torch.save(build(**model, num_classes=4, pretrained=False, batch_norm="train").state_dict(), weights)
        options = {"preset": "faster_std", "model_options": {**model, "batch_norm": "eval"}, "weights": weights}
        run(data, output, batch_size=4, accelerator=accelerator, **options)
