import csv
import json
import os
import subprocess

import pytest
import timm
import torch

from gmconv_zoo.files import records
from gmconv_zoo.files.records import write_csv, write_results, write_rows


def test_rows_of_different_columns_are_written_with_a_column_for_each_key_of_a_dictionary(tmp_path):
    path = tmp_path / "new" / "run" / "summary.csv"
    later = {"epoch": 2, "loss": 1e-7, "sigma": 5.0, "AP": {"cat": 0.25, "dog": None}}
    write_rows(path, [{"epoch": 1, "loss": 0.123456789}, later])
    with path.open() as file:
        assert list(csv.reader(file)) == [
            ["epoch", "loss", "sigma", "AP/cat", "AP/dog"],
            ["1", "0.123457", "", "", ""],
            ["2", "1e-07", "5", "0.25", ""],
        ]


def test_interrupted_write_leaves_the_earlier_file(tmp_path, monkeypatch):
    write_rows(tmp_path / "summary.csv", [{"epoch": 1}])

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_rows(tmp_path / "summary.csv", [{"epoch": 2}])
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("summary.csv", "epoch\n1\n")]


def test_results_carry_machine_and_versions(tmp_path):
    path = write_results(tmp_path / "run", {"top1": 9})
    results = json.loads(path.read_text())
    assert results["top1"] == 9
    assert results["environment"]["torch"] == torch.__version__
    assert results["environment"]["timm"] == timm.__version__
    assert results["environment"]["threads"] == torch.get_num_threads()
    assert {"commit", "python", "processor", "cores", "gpu"} <= results["environment"].keys()


def test_commit_says_whether_the_checkout_was_changed(tmp_path, monkeypatch):
    file = tmp_path / "records.py"
    file.touch()
    monkeypatch.setattr(records, "__file__", str(file))
    assert records.environment()["commit"] is None
    git = ["git", "-C", tmp_path, "-c", "user.name=me", "-c", "user.email=me@example.org"]
    for arguments in (["init"], ["add", "."], ["commit", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True, capture_output=True)
    commit = records.environment()["commit"]
    file.write_text("changed")
    assert (len(commit), records.environment()["commit"]) == (40, f"{commit}-dirty")


def test_a_device_is_written_to_and_not_replaced():
    reader, writer = os.pipe()
    write_csv(f"/dev/fd/{writer}", [("image", "label"), ("a.png", "cat")])
    os.close(writer)
    with open(reader) as file:
        assert file.read() == "image,label\na.png,cat\n"
