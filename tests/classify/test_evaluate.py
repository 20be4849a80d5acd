import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from gmconv_zoo.classify.evaluate import Answers, Score
from gmconv_zoo.engine.evaluate import evaluate


def score(net, loader):
    answers = Answers()
    evaluate(net, loader, answers)
    return answers.score


def problem(count=37, classes=12):
    """Random logits through a layer that returns its input, and random labels."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(count, classes, generator=generator)
    return logits, torch.randint(classes, (count,), generator=generator)


@pytest.mark.parametrize("batch_size", [1, 5, 8, 37, 64])
def test_counts_equal_a_plain_loop_for_any_batch_size(batch_size):
    logits, labels = problem()
    top1 = top5 = 0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        rank = sum(value > row[label] for value in row)
        top1 += rank == 0
        top5 += rank < 5
    assert 0 < top1 < top5 < 37
    loader = DataLoader(TensorDataset(logits, labels), batch_size)
    found = score(nn.Identity(), loader)
    assert (found, found.top1_percent, found.top5_percent) == (Score(37, top1, top5), 100 * top1 / 37, 100 * top5 / 37)


def test_fewer_than_five_classes_count_all_as_top5_and_nan_counts_as_wrong():
    logits, labels = problem(classes=3)
    found = score(nn.Identity(), [(logits, labels)])
    assert found.top5 == found.count
    assert found.top1 < found.count
    assert score(nn.Identity(), [(torch.full_like(logits, float("nan")), labels)]) == Score(37, 0, 0)


@pytest.mark.parametrize("label", range(10))
def test_with_equal_logits_the_predicted_class_is_the_one_that_counts_as_first(label):
    answers = Answers()
    answers.update(answers.rows(torch.zeros(1, 10), torch.tensor([label])))
    assert answers.score.top1 == int(answers.predicted[0] == label)


def test_dropout_and_batch_norm_are_in_eval_mode_and_modes_are_kept():
    net = nn.Sequential(nn.BatchNorm1d(12), nn.Dropout(0.9)).train()
    net[0].eval()
    statistics = net[0].running_mean.clone()
    logits, labels = problem()
    expected = score(nn.Identity(), [(logits, labels)])
    assert score(net, [(logits, labels)]) == expected
    assert (net.training, net[0].training, net[1].training) == (True, False, True)
    assert torch.equal(net[0].running_mean, statistics)


def test_empty_loader_is_refused():
    with pytest.raises(ValueError, match="no images"):
        score(nn.Identity(), [])
