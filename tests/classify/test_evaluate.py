"""What a classifier answers is counted as a plain loop counts it, in numbers and by class."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from gmconv_zoo.classify.class_files import class_table, write_class_files
from gmconv_zoo.classify.evaluate import Answers, Score, not_above_chance
from gmconv_zoo.engine.evaluate import evaluate


def score(net, loader):
    answers = Answers()
    evaluate(net, loader, answers)
    return answers.score


def problem(classes=12):
    """Random logits through a layer that returns its input, and random labels."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(37, classes, generator=generator)
    return logits, torch.randint(classes, (37,), generator=generator)


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


def test_probability_and_loss_are_of_the_images_that_were_read_and_chance_is_the_share_of_a_class():
    logits, labels = problem()
    labels[3] = -1
    answers = Answers(skip_bad=True)
    answers.update(answers.rows(logits, labels))
    read = torch.arange(37) != 3
    torch.testing.assert_close(answers.probability, logits.softmax(1).amax(1)[read])
    torch.testing.assert_close(answers.loss, -logits.log_softmax(1)[torch.arange(37), labels][read])
    assert [bool(not_above_chance(Score(9, top1, 9), 3)) for top1 in (3, 4)] == [True, False]


def test_empty_loader_is_refused():
    with pytest.raises(ValueError, match="no images"):
        score(nn.Identity(), [])


def matrix_of(labels: list[int], predictions: list[int], classes: int) -> torch.Tensor:
    answers = Answers()
    answers.update(answers.rows(torch.eye(classes)[predictions], torch.tensor(labels)))
    return answers.confusion(classes)


def test_rows_are_true_classes_and_columns_predicted_ones():
    assert matrix_of([0, 0, 1], [1, 1, 1], 2).tolist() == [[0, 2], [0, 1]]
    assert matrix_of([0, 2, 1, 2, 2], [2, 2, 0, 1, 2], 4).tolist() == [
        [0, 0, 1, 0],
        [1, 0, 0, 0],
        [0, 1, 2, 0],
        [0, 0, 0, 0],
    ]


def test_recall_is_of_the_true_images_and_precision_of_the_predicted_ones():
    matrix = torch.tensor([[0, 2, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]])
    rows = class_table(matrix, ["a", "b", "c", "d"], torch.tensor([0, 2, 2, 2]))
    assert [list(row.values()) for row in rows] == [
        ["a", 1, 2, 0, 0.0, 0.0],
        ["b", 0, 1, 1, 100.0, 33.33],
        ["c", 3, 3, 2, 66.67, 100.0],
        ["d", 0, 0, 0, None, None],
    ]
    assert list(rows[0]) == ["class", "train_images", "val_images", "correct", "recall_percent", "precision_percent"]


def test_written_matrix_names_both_sides(tmp_path):
    write_class_files(torch.tensor([[0, 2], [0, 1]]), ["a", "b, c"], torch.tensor([0, 1]), tmp_path)
    assert (tmp_path / "confusion.csv").read_text() == 'true \\ predicted,a,"b, c"\na,0,2\n"b, c",0,1\n'
