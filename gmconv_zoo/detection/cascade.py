"""Cascade R-CNN's head (Cai and Vasconcelos, arXiv 1712.00726): three box heads in a row."""

from typing import Any

import torch
from torch import Tensor, nn

from .heads import BoxHeads
from .parity import Parity

__all__ = ["CascadeHeads"]

# Overlap that a stage asks for, factor of its box encoding, weight of its losses.
_STAGES = ((0.5, 1.0, 1.0), (0.6, 2.0, 0.5), (0.7, 3.0, 0.25))


class CascadeHeads(nn.Module):
    """Three box heads with class-agnostic regression and rising overlap thresholds.

    In training, every stage draws its own sample of the boxes that the stage before refined; ground-truth boxes that
    were added to a sample are removed before the next stage. In eval mode the class logits of the stages are averaged,
    as mmdetection does, and the last stage gives the boxes.

    Args:
        num_classes: number of classes, background included.
        parity: see `Parity`.
    """

    def __init__(self, num_classes: int, parity: Parity) -> None:
        super().__init__()
        base = (10.0, 10.0, 5.0, 5.0)
        self.stages = nn.ModuleList(
            BoxHeads(
                num_classes,
                parity,
                iou=iou,
                weights=(base[0] * factor, base[1] * factor, base[2] * factor, base[3] * factor),
                class_agnostic=True,
            )
            for iou, factor, _ in _STAGES
        )

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Any]]:
        """Return the detections in eval mode and the losses in train mode; the other of the two is empty."""
        stages: Any = self.stages
        logits, losses, boxes = [], {}, proposals
        for number, (stage, (_, _, weight)) in enumerate(zip(stages, _STAGES, strict=True), start=1):
            sample = stage.sample(boxes, targets) if self.training else None
            boxes = sample.boxes if sample else boxes
            scores, deltas = stage.predict(features, boxes, image_shapes)
            logits.append(scores)
            if sample:
                classes, regression = stage.losses(scores, deltas, sample)
                losses[f"loss_classifier_{number}"] = weight * classes
                losses[f"loss_box_reg_{number}"] = weight * regression
            if number < len(stages):
                boxes = stage.refine(deltas.detach(), boxes, image_shapes)
            if sample:
                boxes = [found[~truth] for found, truth in zip(boxes, sample.are_truth, strict=True)]
        if self.training:
            return [], losses
        return stages[-1].detections(torch.stack(logits).mean(0), deltas, boxes, image_shapes), {}
