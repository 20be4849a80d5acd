"""What a classifier answers for every image of a dataset, and what a report says of these answers."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..data.eval_images import BAD_LABEL, EvalImages
from ..engine.extras import needs_extra
from ..saving.label_names import label_names
from ..visualize.classes import draw_confusion
from ..visualize.report_page import Picture, Section
from .count import BadImagesError, describe_bad
from .documented import wilson_interval
from .evaluate import Score, hits, not_above_chance

with needs_extra("train"):
    from tqdm import tqdm

__all__ = ["Answers", "answer_all"]

_MOST_DRAWN = 60  # classes of a confusion matrix that is drawn
_MOST_PAIRS = 20
_THUMBNAIL = 128  # pixels


@torch.inference_mode()
def answer_all(
    model: nn.Module,
    images: EvalImages,
    *,
    batch_size: int = 64,
    workers: int = 0,
    skip_bad: bool = False,
    progress: bool = False,
) -> "Answers":
    """Classify every image of a dataset once.

    Args:
        model: a classifier in eval mode.
        images: the dataset, with the model's own preprocessing.
        batch_size, workers: images per forward pass, and loader processes.
        skip_bad: leave out images that cannot be read, instead of stopping.
        progress: whether to show a progress bar.

    Raises:
        BadImagesError: when an image cannot be read.
        ValueError: when none can be read, or the network's outputs are not finite.
    """
    like = next(model.parameters())
    found: list[Tensor] = []
    bad: list[int] = []
    loader = DataLoader(images, batch_size, num_workers=workers)
    for batch, keys in tqdm(loader, "classifying", unit="batch", disable=not progress, leave=False):
        readable = keys[:, 1] != BAD_LABEL
        bad += keys[~readable, 0].tolist()
        if bad and not skip_bad:
            raise BadImagesError(describe_bad(images, bad))
        if not readable.any():
            continue
        logits, labels = model(batch[readable].to(like)).double().cpu(), keys[readable, 1]
        if not logits.isfinite().all():
            raise ValueError(f"{images.source.name}: the network's outputs are not finite; check its weights.")
        loss = nn.functional.cross_entropy(logits, labels, reduction="none")
        best = logits.softmax(1).max(1)
        rows = (*keys[readable].T, best.indices, best.values, loss, *hits(logits, labels).T)
        found.append(torch.stack([row.double() for row in rows]))
    if not found:
        raise ValueError(f"{images.source.name}: none of its images can be read.")
    table = torch.cat(found, 1)
    score = Score(*(int(count) for count in table[5:].sum(1)))
    index, labels, predicted = table[:3].long()
    where = f"{images.source.name}/"  # a page is passed on, and has no path of the machine
    left_out = [said.removeprefix(where) for said in images.why_unreadable(bad)]
    return Answers(images, label_names(model), score, index, labels, predicted, table[3], table[4], left_out)


@dataclass(frozen=True)
class Answers:
    """What a classifier answered.

    Attributes:
        images: the dataset.
        names: the classes' names, in the order of the outputs.
        score: the counts.
        index: (N,) places in the dataset of the images that could be read.
        labels, predicted: (N,) true class and most probable class.
        probability: (N,) softmax output of the most probable class.
        loss: (N,) cross-entropy of the true class.
        bad: names of the images that could not be read, with the reasons.
    """

    images: EvalImages
    names: list[str]
    score: Score
    index: Tensor
    labels: Tensor
    predicted: Tensor
    probability: Tensor
    loss: Tensor
    bad: list[str]

    @cached_property
    def confusion(self) -> tuple[list[str], Tensor]:
        """The names of the classes that occur, and a matrix with a row per true and a column per predicted class."""
        seen = torch.cat([self.labels, self.predicted]).unique()
        pairs = torch.searchsorted(seen, self.labels) * len(seen) + torch.searchsorted(seen, self.predicted)
        matrix = torch.bincount(pairs, minlength=len(seen) ** 2).view(len(seen), len(seen))
        return [self.names[place] for place in seen.tolist()], matrix

    def accuracy_section(self) -> Section:
        """Say how many images are classified correctly, of all and of each class."""
        score, section, (names, matrix) = self.score, Section("Accuracy"), self.confusion
        section.text.append(
            f"{score.top1_percent:.1f} % of the images are classified correctly ({score.top1:,} of {score.count:,}). "
            f"If they are a random sample, the accuracy on all such images is {_interval(score.top1, score.count)} "
            "(Wilson's 95 % interval)."
        )
        if len(self.names) > 5:
            section.text.append(
                f"For {score.top5_percent:.1f} % of the images ({score.top5:,}), the true class is among the five most "
                f"probable ones; the interval is {_interval(score.top5, score.count)}."
            )
        if poor := not_above_chance(score, len(self.names)):
            section.text.append(f"Caution: {poor}. Check that the classes are in the order of the outputs.")
        if self.bad:
            section.text.append(f"Left out because they cannot be read ({len(self.bad)}): {'; '.join(self.bad)}.")
        section.tables["Accuracy by class"] = [
            ("class", "images", "correct", "share", "95 % interval"),
            *(
                (name, total, correct, f"{100 * correct / total:.1f} %", _interval(correct, total))
                for name, total, correct in zip(names, matrix.sum(1).tolist(), matrix.diagonal().tolist(), strict=True)
                if total
            ),
        ]
        return section

    def confusion_section(self) -> Section:
        """Draw which class is taken for which."""
        section, (names, matrix) = Section("Confusion"), self.confusion
        wrong = (matrix - matrix.diagonal().diag()).flatten()
        most = wrong.argsort(descending=True, stable=True)[:_MOST_PAIRS]
        rows = [
            (*divmod(pair, len(names)), count) for pair, count in zip(most.tolist(), wrong[most].tolist(), strict=True)
        ]
        section.tables["Most frequent mistakes"] = [
            ("true class", "predicted class", "images"),
            *((names[true], names[predicted], count) for true, predicted, count in rows if count),
        ]
        if len(names) > _MOST_DRAWN:
            section.text.append(f"The matrix of {len(names)} classes is too large to be drawn: the table has the most.")
        else:
            alt = f"Confusion matrix of {len(names)} classes. The table of mistakes has the largest of its numbers."
            section.draw(lambda path: draw_confusion(matrix.tolist(), names, path), alt)
        return section

    def mistake_section(self, most: int) -> Section:
        """Show the wrong answers with the highest loss, at most so many."""
        wrong = (self.predicted != self.labels).nonzero().flatten()
        worst = wrong[self.loss[wrong].argsort(descending=True, stable=True)][:most]
        said = "The wrong answers with the highest loss." if len(worst) else "There are no mistakes."
        section = Section("Worst mistakes", [said if most else "Images are not shown here (--mistakes 0)."])
        source = self.images.source
        for place in worst.tolist():
            index = int(self.index[place])
            picture = source.read(index, "RGB")[0]
            picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
            file = source.image_name(index).removeprefix(f"{source.name}/")
            true, taken = self.names[self.labels[place]], self.names[self.predicted[place]]
            caption = f"{true}, taken for {taken} ({100 * self.probability[place]:.1f} %)"
            section.gallery.append(Picture(picture, f"{file}: {caption}", caption))
        return section


def _interval(correct: int, count: int) -> str:
    low, high = wilson_interval(correct, count)
    return f"{low:.1f} to {high:.1f} %"
