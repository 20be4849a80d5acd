"""The confusion matrix and its line per class, counted by hand."""

import torch

from gmconv_zoo.classify.class_files import class_table, write_class_files
from gmconv_zoo.classify.evaluate import Answers


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
