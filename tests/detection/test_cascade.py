"""The cascade's assignment, losses, refinement and detections agree with loops over single boxes."""

import math

import pytest
import torch

from gmconv_zoo.detection.cascade import CascadeHeads
from gmconv_zoo.detection.heads import RoIPool
from gmconv_zoo.detection.parity import Parity

CLASSES, BETA = 3, 0.5
IMAGES = [(100, 120), (80, 60)]
TRUTH = [[((10.0, 10.0, 50.0, 40.0), 1), ((60.0, 30.0, 110.0, 90.0), 2)], []]
# From close to an object to far from all; one of them is an object's own box, which only its place tells apart.
PROPOSALS = [
    [
        (10, 10, 50, 40), (12, 11, 50, 43), (15, 10, 58, 40), (20, 8, 60, 45), (62, 33, 112, 92), (50, 30, 100, 80),
        (0, 60, 30, 99),
    ],
    [(5, 5, 30, 40), (20, 10, 59, 79)],
]  # fmt: skip


def answers(number: int, box: tuple[float, ...]) -> tuple[list[float], list[float]]:
    """What the network of a stage says of a box: any fixed function of it."""
    x1, y1, x2, y2 = box
    logits = [math.sin(x1 + number), math.cos(y1 * number), 2 * math.sin(x2 + y2)]
    return logits, [math.sin(x1), math.cos(y1), math.sin(x2) / 2, math.cos(y2) / 2]


@pytest.fixture
def cascade(monkeypatch):
    with torch.device("meta"):
        heads = CascadeHeads(CLASSES, Parity(box_beta=BETA))

    def predict(number):
        def say(features, boxes, shapes):
            said = [answers(number, tuple(box)) for found in boxes for box in found.tolist()]
            logits, deltas = zip(*said, strict=True)
            return torch.tensor(logits), torch.tensor(deltas, requires_grad=number == 1)

        return say

    for number, stage in enumerate(heads.stages, start=1):
        monkeypatch.setattr(stage, "predict", predict(number))
    return heads


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if min(width, height) <= 0:
        return 0.0
    return width * height / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height)


def centre(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]


def encode(box, goal, factor):
    (x, y, w, h), (gx, gy, gw, gh) = centre(box), centre(goal)
    return [
        10 * factor * (gx - x) / w,
        10 * factor * (gy - y) / h,
        5 * factor * math.log(gw / w),
        5 * factor * math.log(gh / h),
    ]


def decode(box, deltas, factor, size):
    x, y, w, h = centre(box)
    x, y = x + deltas[0] / (10 * factor) * w, y + deltas[1] / (10 * factor) * h
    w, h = w * math.exp(deltas[2] / (5 * factor)), h * math.exp(deltas[3] / (5 * factor))
    height, width = size
    xs, ys = (
        (min(max(v, 0), width) for v in (x - w / 2, x + w / 2)),
        (min(max(v, 0), height) for v in (y - h / 2, y + h / 2)),
    )
    (x1, x2), (y1, y2) = xs, ys
    return (x1, y1, x2, y2)


def softmax(logits):
    total = sum(math.exp(v) for v in logits)
    return [math.exp(v) / total for v in logits]


def smooth_l1(difference):
    size = abs(difference)
    return size * size / (2 * BETA) if size < BETA else size - BETA / 2


def losses_by_hand():
    found, boxes = {}, [list(map(tuple, image)) for image in PROPOSALS]
    for number, (threshold, weight) in enumerate([(0.5, 1), (0.6, 0.5), (0.7, 0.25)], start=1):
        classification, regression, count, refined = 0.0, 0.0, 0, []
        for image, truths, size in zip(boxes, TRUTH, IMAGES, strict=True):
            refined.append([])
            for index, box in enumerate(image + [truth for truth, _ in truths]):
                logits, deltas = answers(number, torch.tensor(box).tolist())
                best, goal, label = max(((overlap(box, t), t, c) for t, c in truths), default=(0.0, box, 0))
                label = label if best >= threshold else 0
                classification -= math.log(softmax(logits)[label])
                if label:
                    regression += sum(smooth_l1(d - t) for d, t in zip(deltas, encode(box, goal, number), strict=True))
                count += 1
                if index < len(image):
                    refined[-1].append(decode(box, deltas, number, size))
        found[f"loss_classifier_{number}"] = weight * classification / count
        found[f"loss_box_reg_{number}"] = weight * regression / count
        boxes = refined
    return found


def test_losses_agree_with_loops_over_boxes(cascade):
    proposals = [torch.tensor(image, dtype=torch.float32) for image in PROPOSALS]
    targets = [
        {"boxes": torch.tensor([b for b, _ in t]).reshape(-1, 4), "labels": torch.tensor([c for _, c in t]).long()}
        for t in TRUTH
    ]
    detections, losses = cascade.train()({}, proposals, IMAGES, targets)
    assert detections == []
    assert [losses[f"loss_box_reg_{number}"].requires_grad for number in (1, 2, 3)] == [True, False, False]
    wanted = losses_by_hand()
    assert min(wanted.values()) > 0.01
    assert {name: pytest.approx(value, rel=1e-3) for name, value in wanted.items()} == {
        name: value.item() for name, value in losses.items()
    }


def detections_by_hand(boxes, size):
    logits = [[0.0] * CLASSES for _ in boxes]
    for number in (1, 2, 3):
        said = [answers(number, torch.tensor(box).tolist()) for box in boxes]
        logits = [
            [a + b / 3 for a, b in zip(old, new, strict=True)] for old, (new, _) in zip(logits, said, strict=True)
        ]
        boxes = [decode(box, deltas, number, size) for box, (_, deltas) in zip(boxes, said, strict=True)]
    scored = [(softmax(l)[c], c, b) for l, b in zip(logits, boxes, strict=True) for c in range(1, CLASSES)]
    kept = []
    for score, label, box in sorted(scored, reverse=True):
        if score > 0.05 and all(label != other or overlap(box, b) <= 0.5 for _, other, b in kept):
            kept.append((score, label, box))
    return kept


def test_detections_are_of_the_mean_logits_and_the_last_boxes(cascade):
    proposals = [torch.tensor(image, dtype=torch.float32) for image in PROPOSALS]
    detections, losses = cascade.eval()({}, proposals, IMAGES)
    assert losses == {}
    for found, boxes, size in zip(detections, PROPOSALS, IMAGES, strict=True):
        wanted = detections_by_hand(boxes, size)
        assert len(wanted) > 1
        assert found["labels"].tolist() == [label for _, label, _ in wanted]
        torch.testing.assert_close(
            found["scores"], torch.tensor([score for score, _, _ in wanted]), rtol=1e-3, atol=1e-4
        )
        torch.testing.assert_close(found["boxes"], torch.tensor([box for _, _, box in wanted]), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("aligned", [False, True])
def test_pooled_features_are_those_at_the_centres_of_the_bins(aligned):
    strides = (4, 8, 16, 32)
    # each level's feature is the column it stands in, which bilinear sampling gives exactly, plus 1000 times the level
    features = {
        str(level): (torch.arange(512 / stride) + 1000.0 * level).expand(1, 256, 512 // stride, -1)
        for level, stride in enumerate(strides)
    }
    boxes = torch.tensor([[40.0, 40.0, 80.0, 90.0], [40.0, 40.0, 180.0, 190.0], [40.0, 40.0, 400.0, 400.0]])
    pooled = RoIPool(Parity(sampling_ratio=2, aligned=aligned))(features, [boxes], [(512, 512)])
    for found, box, level in zip(pooled, boxes.tolist(), (0, 1, 2), strict=True):
        left, right = box[0] / strides[level], box[2] / strides[level]
        centres = [left + (right - left) * (index + 0.5) / 7 - aligned * 0.5 + 1000 * level for index in range(7)]
        torch.testing.assert_close(found[0, 3], torch.tensor(centres))
