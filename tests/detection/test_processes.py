"""Several processes train to the same weights as one, and evaluate to the same average precision."""

import json

import pytest
import torch
from safetensors.torch import load_file

import gmconv_zoo
from tests import launch

from .detectors import finding
from .runs import landscape_only, shapes


@pytest.mark.slow
def test_two_processes_equal_one_with_the_same_global_batch(tmp_path):
    data = shapes(tmp_path / "data", images=14, val=6)
    for split in ("train", "val"):
        landscape_only(data / "annotations" / f"instances_{split}.json")
    runs = {name: tmp_path / name for name in ("1-1", "2-1", "2-2")}  # processes and parts of a batch
    for name, output in runs.items():
        launch.run(int(name[0]), "-m", "tests.detection.two_processes", output, name[2])
    saved = {name: load_file(output / "checkpoints" / "last.safetensors") for name, output in runs.items()}
    scores = [json.loads((output / "results.json").read_text())["score"] for output in runs.values()]
    for key, value in saved["1-1"].items():
        if not key.startswith("processes/"):
            for name in ("2-1", "2-2"):
                torch.testing.assert_close(saved[name][key], value, rtol=1e-3, atol=3e-5, msg=f"{name} {key}")
    assert scores[0] == scores[1] == scores[2]
    assert scores[0]["images"] == 3


@pytest.mark.slow
def test_average_precision_is_the_same_for_any_number_of_processes(tmp_path):
    data = shapes(tmp_path / "data", images=2, val=4)
    names = {"circle": 1, "square": 2, "triangle": 3}
    gmconv_zoo.save(finding(min_size=48, max_size=80, categories=names), tmp_path / "net")
    found, printed = [], []
    for processes in (1, 2, 3):
        options = ["--workers", "0", "--output", tmp_path / str(processes)]
        printed.append(launch.run(processes, "scripts/detect_eval.py", tmp_path / "net", data, *options).stdout)
        found.append((tmp_path / str(processes) / "predictions.json").read_text())
    assert found[0] == found[1] == found[2]
    assert printed[0] == printed[1] == printed[2]
    assert printed[0].startswith("4 images; AP ")
    assert len(json.loads(found[0])) > 20


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["faster_gmconv_l1_dcn", "cascade_gmconv_l1"])
def test_two_processes_train_in_bf16_and_go_on(tmp_path, preset):
    data = shapes(tmp_path / "data", images=4, val=2)
    options = ["--preset", preset, "--no-pretrained", "--image-size", "48", "--batch-size", "2", "--workers", "0"]
    options += ["--model-options", "backbone=resnet18", "batch_norm=train", "--precision", "bf16", "--epochs", "2"]
    command = ["scripts/detect_train.py", data, *options, "--milestones", "1", "--output", tmp_path / "out"]
    launch.run(2, *command)
    assert "best epoch 1 of 2" in launch.run(2, *command, "--resume").stdout
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert (results["processes"], results["precision"], results["score"]["images"]) == (2, "bf16", 2)
