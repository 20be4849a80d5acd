"""Count how a classifier does: what it answers for every image, and top-1 and top-5 accuracy as exact integers."""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..data.eval_images import BAD_LABEL, EvalImages, EvalStream

__all__ = ["Answers", "BadImagesError", "Score", "not_above_chance"]


@dataclass(frozen=True)
class Score:
    """How many images were evaluated, and for how many the label has the largest logit, or one of the five largest."""

    count: int
    top1: int
    top5: int

    @property
    def top1_percent(self) -> float:
        """Top-1 accuracy in percent."""
        return 100 * self.top1 / self.count

    @property
    def top5_percent(self) -> float:
        """Top-5 accuracy in percent."""
        return 100 * self.top5 / self.count

    def to_dict(self) -> dict[str, float]:
        """Counts and percentages, for records."""
        return {**asdict(self), "top1_percent": self.top1_percent, "top5_percent": self.top5_percent}


class BadImagesError(ValueError):
    """Images that cannot be read, named in the message."""


class Answers:
    """What a classifier answers for every image of a dataset: an evaluator of `engine.evaluate.evaluate`.

    If the targets of a loader are (B, 2) indices and labels, pass what it reads as images. The indices show that each
    image was counted once, and that none which processes get twice, to have batches of equal size, was counted again.
    With skip_bad, images that cannot be read are left out, instead of raising.
    """

    def __init__(self, images: EvalImages | EvalStream | None = None, *, skip_bad: bool = False) -> None:
        self.images, self.skip_bad = images, skip_bad
        self.bad: list[int] = []
        self._counted = [torch.empty(0, 6, dtype=torch.int64)]
        self._likely = [torch.empty(0, 2)]

    def rows(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return a row for each image.

        Args:
            logits: (B, classes); an image with a NaN among them counts as wrong.
            targets: (B,) int64 labels, or (B, 2) int64 of index and label.

        Returns:
            (B, 6) int64 of index, label, predicted class, and 1 for: counted, label first, label among the first five;
            (B, 2) float32 of the predicted class's probability and the cross-entropy. ValueError for other labels.
        """
        index, labels = targets.unbind(1) if targets.ndim == 2 else (torch.full_like(targets, -1), targets)
        outside = labels[(labels >= logits.shape[1]) | (labels < BAD_LABEL)]
        if len(outside):
            raise ValueError(
                f"label {int(outside[0])}: the network has outputs 0 to {logits.shape[1] - 1}; count labels from 0."
            )
        logits = logits.float()
        best = logits.topk(min(5, logits.shape[1]), dim=1).indices  # the one order, also among equal logits
        first = best[:, :1]
        found = (best == labels.unsqueeze(1)) & ~logits.isnan().any(1, keepdim=True)
        hits = torch.stack([torch.ones_like(found[:, 0]), found[:, 0], found.any(1)], dim=1)
        probability = logits.softmax(1).gather(1, first).squeeze(1)
        loss = F.cross_entropy(logits, labels.clamp(min=0), reduction="none")
        counted = torch.cat([index.unsqueeze(1), labels.unsqueeze(1), first, hits.long()], dim=1)
        return counted, torch.stack([probability, loss], dim=1)

    def update(self, rows: tuple[Tensor, Tensor]) -> None:
        """Keep the rows of all processes; `BadImagesError` when an image cannot be read and is not to be skipped."""
        counted, likely = (part.cpu() for part in rows)
        bad = counted[:, 1] == BAD_LABEL
        unread = counted[bad, 0].tolist()
        if unread and not self.skip_bad and self.images is not None:
            named = self.images.why_unreadable(unread[:5])
            rest = len(unread) - len(named)
            more = f" and {rest} more in this batch" if named and rest else ""
            shown = "; ".join(named) or f"{rest} images, which the process that reads names"
            raise BadImagesError(
                f"cannot be read: {shown}{more}. Repair or remove it, or leave such images out with --skip-bad."
            )
        self.bad = sorted([*self.bad, *unread])
        self._counted.append(counted[~bad])
        self._likely.append(likely[~bad])

    def result(self) -> dict[str, float]:
        """Return counts and percentages, see `Score`.

        ValueError when no image was counted, and RuntimeError when one was counted twice or not at all.
        """
        if self.images is not None:
            indices = torch.cat([self.index, torch.tensor(self.bad, dtype=torch.int64)])
            distinct = len(indices.unique())
            missing = len(self.images) - distinct if isinstance(self.images, EvalImages) else 0
            if missing or distinct < len(indices):
                raise RuntimeError(
                    f"{missing} images were not counted and {len(indices) - distinct} more than once: the loader was "
                    "not split over the processes as evaluation needs it. This is a bug, please report it."
                )
        if not len(self.labels):
            raise ValueError("no images were counted: the set is empty, or none of its images can be read.")
        return self.score.to_dict()

    @property
    def score(self) -> Score:
        """The counts over all processes."""
        return Score(*torch.cat(self._counted)[:, 3:].sum(0).tolist())

    @property
    def index(self) -> Tensor:
        """(N,) int64 places in the dataset of the images that could be read; -1 where the loader gives none."""
        return torch.cat(self._counted)[:, 0]

    @property
    def labels(self) -> Tensor:
        """(N,) int64 true classes."""
        return torch.cat(self._counted)[:, 1]

    @property
    def predicted(self) -> Tensor:
        """(N,) int64 most probable classes."""
        return torch.cat(self._counted)[:, 2]

    @property
    def probability(self) -> Tensor:
        """(N,) float32 softmax outputs of the most probable classes."""
        return torch.cat(self._likely)[:, 0]

    @property
    def loss(self) -> Tensor:
        """(N,) float32 cross-entropy of the true classes."""
        return torch.cat(self._likely)[:, 1]

    def confusion(self, classes: int) -> Tensor:
        """(classes, classes) int64: row of the true class, column of the predicted one."""
        pairs = self.labels * classes + self.predicted
        return torch.bincount(pairs, minlength=classes * classes).view(classes, classes)


def not_above_chance(score: Score, classes: int) -> str:
    """Return a warning for a score that guessing among so many classes would reach; empty for a better score."""
    if classes < 2 or score.top1 * classes > score.count:
        return ""
    return f"{score.top1} of {score.count} images are correct, which is not above chance (1 in {classes})"
