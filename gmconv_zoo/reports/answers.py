"""What a report says of a classifier's answers: accuracy, confusion and the worst mistakes."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..classify.evaluate import Answers, not_above_chance
from ..images.image_source import ImageSource
from ..validation.documented import wilson_interval
from ..visualize.classes import draw_confusion
from .page import Picture, Section

__all__ = ["AnswerSections"]

_MOST_DRAWN = 60  # classes of a confusion matrix that is drawn
_MOST_PAIRS = 20
_THUMBNAIL = 128  # pixels


@dataclass(frozen=True)
class AnswerSections:
    """The sections about a classifier's answers to the images of a dataset.

    The names of the classes are in the order of the outputs; ``bad`` are images that could not be read, with reasons.
    """

    answers: Answers
    names: list[str]
    source: ImageSource
    bad: list[str]

    @cached_property
    def confusion(self) -> tuple[list[str], Tensor]:
        """The names of the classes that occur, and a matrix with a row per true and a column per predicted class."""
        seen = torch.cat([self.answers.labels, self.answers.predicted]).unique()
        matrix = self.answers.confusion(len(self.names))[seen][:, seen]
        return [self.names[place] for place in seen.tolist()], matrix

    def accuracy_section(self) -> Section:
        """Say how many images are classified correctly, of all and of each class."""
        score, section, (names, matrix) = self.answers.score, Section("Accuracy"), self.confusion
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
        labels, predicted, loss = self.answers.labels, self.answers.predicted, self.answers.loss
        wrong = (predicted != labels).nonzero().flatten()
        worst = wrong[loss[wrong].argsort(descending=True, stable=True)][:most]
        said = "The wrong answers with the highest loss." if len(worst) else "There are no mistakes."
        section = Section("Worst mistakes", [said if most else "Images are not shown here (--mistakes 0)."])
        source = self.source
        for place in worst.tolist():
            index = int(self.answers.index[place])
            picture = source.read(index)[0]
            picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
            file = source.image_name(index).removeprefix(f"{source.name}/")
            true, taken = self.names[labels[place]], self.names[predicted[place]]
            caption = f"{true}, taken for {taken} ({100 * self.answers.probability[place]:.1f} %)"
            section.gallery.append(Picture(picture, f"{file}: {caption}", caption))
        return section


def _interval(correct: int, count: int) -> str:
    low, high = wilson_interval(correct, count)
    return f"{low:.1f} to {high:.1f} %"
