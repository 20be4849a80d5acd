"""torchvision's region proposals and box head, with the settings of `Parity`."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import AnchorGenerator, RegionProposalNetwork, RPNHead
from torchvision.ops import MultiScaleRoIAlign, clip_boxes_to_image, roi_align
from torchvision.ops.poolers import LevelMapper

from .backbone import CHANNELS, STRIDES
from .parity import Parity

__all__ = ["MOST_DETECTIONS", "BoxHeads", "ProposalNetwork", "RoIPool", "Sample", "level_mapper"]

_ANCHOR_SIZES = ((32,), (64,), (128,), (256,), (512,))  # one per level of the pyramid
_BINS, _HIDDEN = 7, 1024
MOST_DETECTIONS = 100  # of an image, as on COCO


def level_mapper() -> LevelMapper:
    """Return the rule by which a box is pooled from a level of the pyramid, 0 being the one of stride 4."""
    return LevelMapper(2, 5)


class RoIPool(MultiScaleRoIAlign):
    """RoIAlign over a pyramid of known strides.

    torchvision guesses the strides from its first batch, wrongly when the padding is a large part of an image.
    """

    def __init__(self, parity: Parity) -> None:
        super().__init__([str(level) for level in range(len(STRIDES))], _BINS, parity.sampling_ratio)
        self.aligned = parity.aligned
        self.scales = [1 / stride for stride in STRIDES]
        self.map_levels = level_mapper()

    def forward(self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]) -> Tensor:
        """Features of N boxes as (N, 256, 7, 7)."""
        if not self.aligned:
            return super().forward(x, boxes, image_shapes)
        levels = self.map_levels(boxes)
        rois = torch.cat([F.pad(found, (1, 0), value=index) for index, found in enumerate(boxes)])
        pooled = x["0"].new_zeros(len(rois), CHANNELS, _BINS, _BINS)
        for level, (name, scale) in enumerate(zip(self.featmap_names, self.scales, strict=True)):
            here = torch.where(levels == level)[0]
            part = roi_align(x[name], rois[here], _BINS, scale, self.sampling_ratio, aligned=True)
            pooled[here] = part.to(pooled.dtype)
        return pooled


class _WideRPNHead(RPNHead):
    """torchvision's head, with outputs that boxes can be computed from."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        logits, deltas = super().forward(x)
        return [_wide(level) for level in logits], [_wide(level) for level in deltas]


def _wide(tensor: Tensor) -> Tensor:
    """At least float32: under autocast boxes would get the outputs' dtype, and bfloat16 counts 800 pixels in fours."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


class ProposalNetwork(RegionProposalNetwork):
    """torchvision's region proposal network, with a choice of the box loss and the number of proposals."""

    def __init__(self, parity: Parity) -> None:
        anchors = AnchorGenerator(_ANCHOR_SIZES, ((0.5, 1.0, 2.0),) * len(_ANCHOR_SIZES))
        head = _WideRPNHead(CHANNELS, anchors.num_anchors_per_location()[0])
        kept_before_nms = {"training": 2000, "testing": 1000}
        kept = {"training": parity.train_proposals, "testing": 1000}
        super().__init__(anchors, head, 0.7, 0.3, 256, 0.5, kept_before_nms, kept, 0.7)
        self.box_beta = parity.rpn_beta

    def compute_loss(
        self, objectness: Tensor, pred_bbox_deltas: Tensor, labels: list[Tensor], regression_targets: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the objectness loss and the box loss of a sample of the A anchors of all images.

        The logits are (A, 1), the deltas (A, 4); labels are 1 for an object, 0 for background, -1 for neither.
        """
        positive, negative = (torch.where(torch.cat(chosen))[0] for chosen in self.fg_bg_sampler(labels))
        sampled = torch.cat([positive, negative])
        targets = torch.cat(regression_targets)[positive]
        box = F.smooth_l1_loss(pred_bbox_deltas[positive], targets, beta=self.box_beta, reduction="sum")
        truth = torch.cat(labels)[sampled]
        return F.binary_cross_entropy_with_logits(objectness.flatten()[sampled], truth), box / sampled.numel()


@dataclass(frozen=True)
class Sample:
    """The boxes of a batch that one head is trained on; every list has one entry per image.

    Attributes:
        boxes: (N, 4) proposals and ground-truth boxes.
        labels: (N,) class, 0 for background.
        targets: (N, 4) encoded differences to the ground-truth boxes.
        are_truth: (N,) whether a box is itself a ground-truth box.
    """

    boxes: list[Tensor]
    labels: list[Tensor]
    targets: list[Tensor]
    are_truth: list[Tensor]


class BoxHeads(RoIHeads):
    """torchvision's head for boxes, with a choice of the loss and of class-agnostic regression.

    Args:
        num_classes: number of classes, background included.
        parity: see `Parity`.
        iou: overlap from which a box counts as the object's.
        weights: factors of the encoded x, y, width and height.
        class_agnostic: predict one box for all classes.
    """

    def __init__(
        self,
        num_classes: int,
        parity: Parity,
        *,
        iou: float = 0.5,
        weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0),
        class_agnostic: bool = False,
    ) -> None:
        predictor = FastRCNNPredictor(_HIDDEN, num_classes)
        if class_agnostic:
            predictor.bbox_pred = nn.Linear(_HIDDEN, 4)
        head = TwoMLPHead(CHANNELS * _BINS**2, _HIDDEN)
        super().__init__(RoIPool(parity), head, predictor, iou, iou, 512, 0.25, weights, 0.05, 0.5, MOST_DETECTIONS)
        self.box_beta = parity.box_beta

    def sample(self, proposals: list[Tensor], targets: list[dict[str, Tensor]] | None) -> Sample:
        """Add the ground-truth boxes to the proposals, assign each to one of them, and draw boxes to train on."""
        self.check_targets(targets)
        assert targets is not None
        truths = [target["boxes"].to(proposals[0].dtype) for target in targets]
        candidates = self.add_gt_proposals(proposals, truths)
        matched, labels = self.assign_targets_to_proposals(candidates, truths, [target["labels"] for target in targets])
        drawn = self.subsample(labels)
        boxes = [found[index] for found, index in zip(candidates, drawn, strict=True)]
        truths = [truth if len(truth) else truth.new_zeros(1, 4) for truth in truths]
        goals = [truth[match[index]] for truth, match, index in zip(truths, matched, drawn, strict=True)]
        return Sample(
            boxes,
            [label[index] for label, index in zip(labels, drawn, strict=True)],
            list(self.box_coder.encode(goals, boxes)),
            [index >= len(proposed) for proposed, index in zip(proposals, drawn, strict=True)],
        )

    def predict(
        self, features: dict[str, Tensor], boxes: list[Tensor], shapes: list[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        """Class logits (N, classes) and encoded boxes (N, 4 * classes), or (N, 4) if class-agnostic."""
        logits, deltas = self.box_predictor(self.box_head(self.box_roi_pool(features, boxes, shapes)))
        return _wide(logits), _wide(deltas)

    def losses(self, logits: Tensor, deltas: Tensor, sample: Sample) -> tuple[Tensor, Tensor]:
        """Return the classification loss and the box loss of a sample."""
        labels, targets = torch.cat(sample.labels), torch.cat(sample.targets)
        positive = torch.where(labels > 0)[0]
        columns = deltas.reshape(len(labels), -1, 4)
        column = labels[positive] if columns.shape[1] > 1 else torch.zeros_like(positive)
        box = F.smooth_l1_loss(columns[positive, column], targets[positive], beta=self.box_beta, reduction="sum")
        return F.cross_entropy(logits, labels), box / labels.numel()

    def refine(self, deltas: Tensor, boxes: list[Tensor], shapes: list[tuple[int, int]]) -> list[Tensor]:
        """Apply class-agnostic predictions to their boxes and clip them to their images."""
        moved = self.box_coder.decode(deltas, boxes).reshape(-1, 4).split([len(found) for found in boxes])
        return [clip_boxes_to_image(found, shape) for found, shape in zip(moved, shapes, strict=True)]

    def detections(
        self, logits: Tensor, deltas: Tensor, boxes: list[Tensor], shapes: list[tuple[int, int]]
    ) -> list[dict[str, Tensor]]:
        """Return the boxes, labels and scores of each image after non-maximum suppression."""
        if deltas.shape[1] == 4:
            deltas = deltas.repeat(1, logits.shape[1])
        found = self.postprocess_detections(logits, deltas, boxes, shapes)
        return [{"boxes": box, "labels": label, "scores": score} for box, score, label in zip(*found, strict=True)]

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Any]]:
        """Return the detections in eval mode and the losses in train mode; the other of the two is empty."""
        if not self.training:
            return self.detections(*self.predict(features, proposals, image_shapes), proposals, image_shapes), {}
        sample = self.sample(proposals, targets)
        classes, boxes = self.losses(*self.predict(features, sample.boxes, image_shapes), sample)
        return [], {"loss_classifier": classes, "loss_box_reg": boxes}
