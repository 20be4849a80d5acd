"""The loss of a batch, beside its formula."""

import numpy
import pytest
import torch
from timm.data import Mixup
from torch import nn

from gmconv_zoo.classify.recipes import FINETUNE
from gmconv_zoo.classify.task import balanced_weights, make_batch_loss

RECIPE = FINETUNE.override(label_smoothing=0.0)
BATCH = (torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0, 1, 0]))


class Pooled(nn.Module):
    """Three logits: the channels' means."""

    def forward(self, x):
        self.seen = x
        return x.mean((2, 3))


def log_probabilities(images):
    return torch.log_softmax(images.mean((2, 3)), dim=1)


def test_plain_smoothed_and_weighted_losses_are_their_formulas():
    images, labels = BATCH
    logs = log_probabilities(images)
    of_label = -logs[torch.arange(6), labels]
    plain, count = make_batch_loss(RECIPE)(Pooled(), BATCH)
    torch.testing.assert_close(plain, of_label.mean())
    assert count == 6
    smoothed, _ = make_batch_loss(RECIPE.override(label_smoothing=0.3))(Pooled(), BATCH)
    torch.testing.assert_close(smoothed, (0.7 * of_label - 0.3 * logs.mean(1)).mean())
    weights = balanced_weights(labels)
    assert weights.tolist() == pytest.approx([6 / 9, 6 / 6, 6 / 3])
    weighted, _ = make_batch_loss(RECIPE, class_weights=weights)(Pooled(), BATCH)
    torch.testing.assert_close(weighted, (weights[labels] * of_label).mean())


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_mixed_images_count_for_both_labels(mix):
    net, recipe = Pooled(), RECIPE.override(**{mix: 1.0}, label_smoothing=0.1)
    numpy.random.seed(3)
    loss, count = make_batch_loss(recipe, classes=3)(net, (BATCH[0].clone(), BATCH[1]))
    numpy.random.seed(3)
    mixing = Mixup(recipe.mixup, recipe.cutmix, label_smoothing=0.1, num_classes=3)
    images, targets = mixing(BATCH[0].clone(), BATCH[1])
    assert torch.equal(net.seen, images)
    assert not torch.equal(images, BATCH[0])
    torch.testing.assert_close(targets.sum(1), torch.ones(6))
    torch.testing.assert_close(loss, -(targets * log_probabilities(images)).sum(1).mean())
    assert count == 6


def test_an_odd_batch_is_mixed_with_its_last_image_taken_twice():
    net, recipe = Pooled(), RECIPE.override(mixup=1.0)
    doubled = [torch.cat([part[:5], part[4:5]]) for part in BATCH]
    numpy.random.seed(3)
    loss, count = make_batch_loss(recipe, classes=3)(net, (BATCH[0][:5].clone(), BATCH[1][:5]))
    numpy.random.seed(3)
    images, targets = Mixup(recipe.mixup, recipe.cutmix, label_smoothing=0.0, num_classes=3)(*doubled)
    assert torch.equal(net.seen, images[:5])
    assert not any(map(torch.equal, net.seen, BATCH[0]))
    torch.testing.assert_close(loss, -(targets * log_probabilities(images))[:5].sum(1).mean())
    assert count == 5


def test_mixing_needs_the_number_of_classes():
    with pytest.raises(ValueError, match=r"mixup=0\.5, cutmix=0\.0: the network must say its num_classes"):
        make_batch_loss(RECIPE.override(mixup=0.5))
