import csv
import json
import os

import pytest
import timm
import torch

from gmconv_zoo.files.records import Summary, write_csv, write_results


def test_summary_file_holds_all_rows_after_each(tmp_path):
    summary = Summary(tmp_path / "new" / "run")
    summary.append({"epoch": 1, "loss": 0.123456789})
    summary.append({"epoch": 2, "loss": 1e-7, "sigma": 5.0})
    with (tmp_path / "new" / "run" / "summary.csv").open() as file:
        assert list(csv.DictReader(file)) == [
            {"epoch": "1", "loss": "0.123457", "sigma": ""},
            {"epoch": "2", "loss": "1e-07", "sigma": "5"},
        ]
    assert summary.rows[0]["loss"] == 0.123456789


def test_summary_without_a_folder_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Summary().append({"epoch": 1})
    assert not list(tmp_path.iterdir())


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


def test_dictionaries_of_a_row_get_columns_and_none_is_an_empty_cell(tmp_path):
    summary = Summary(tmp_path)
    summary.append({"epoch": 1, "val_APl": None, "val_per_class": {"cat": 0.25, "dog": None}})
    assert (tmp_path / "summary.csv").read_text() == "epoch,val_APl,val_per_class/cat,val_per_class/dog\n1,,0.25,\n"
    assert summary.rows[0]["val_per_class"] == {"cat": 0.25, "dog": None}
