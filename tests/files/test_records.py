import csv
import json
import os

import pytest
import timm
import torch

from gmconv_zoo.files.records import Summary, write_csv, write_results


def test_summary_file_holds_all_rows_after_each_with_a_column_for_each_key_of_a_dictionary(tmp_path, monkeypatch):
    summary = Summary(tmp_path / "new" / "run")
    summary.append({"epoch": 1, "loss": 0.123456789})
    summary.append({"epoch": 2, "loss": 1e-7, "sigma": 5.0, "AP": {"cat": 0.25, "dog": None}})
    with (tmp_path / "new" / "run" / "summary.csv").open() as file:
        assert list(csv.reader(file)) == [
            ["epoch", "loss", "sigma", "AP/cat", "AP/dog"],
            ["1", "0.123457", "", "", ""],
            ["2", "1e-07", "5", "0.25", ""],
        ]
    assert summary.rows[0]["loss"] == 0.123456789
    assert summary.rows[1]["AP"] == {"cat": 0.25, "dog": None}
    monkeypatch.chdir(tmp_path)
    Summary().append({"epoch": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_interrupted_write_leaves_the_earlier_file(tmp_path, monkeypatch):
    summary = Summary(tmp_path)
    summary.append({"epoch": 1})

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        summary.append({"epoch": 2})
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("summary.csv", "epoch\n1\n")]


def test_results_carry_machine_and_versions(tmp_path):
    path = write_results(tmp_path / "run", {"top1": 9})
    results = json.loads(path.read_text())
    assert results["top1"] == 9
    assert results["environment"]["torch"] == torch.__version__
    assert results["environment"]["timm"] == timm.__version__
    assert {"commit", "python", "processor", "cores", "gpu"} <= results["environment"].keys()


def test_a_device_is_written_to_and_not_replaced():
    reader, writer = os.pipe()
    write_csv(f"/dev/fd/{writer}", [("image", "label"), ("a.png", "cat")])
    os.close(writer)
    with open(reader) as file:
        assert file.read() == "image,label\na.png,cat\n"
