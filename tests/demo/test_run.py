import json
import re

import pytest
import timm
import torch

from gmconv_zoo.demo.digits import digits
from gmconv_zoo.demo.run import run_demo

FILES = {"curves.png", "config.json", "model.safetensors", "summary.csv", "results.json", "masks_and_curve.png"}


def test_demo_command_leaves_every_artefact(tmp_path, monkeypatch, gmconv):
    monkeypatch.chdir(tmp_path)
    status, out, err = gmconv("demo", "--epochs", "1", "--images", "80", "--output", "out")
    assert status == 0
    assert "validation accuracy before:" in out
    assert "validation accuracy after:" in out
    assert "largest logit difference" in out
    assert "epoch 1/1" in err
    rows = re.findall(r"^ +(\d) +(\d) +(\d+\.\d)%$", out, re.MULTILINE)
    labels = digits(80).held_out_labels[:8].tolist()
    assert [int(digit) for digit, _, _ in rows] == labels
    folder = tmp_path / "out"
    assert {path.name for path in folder.iterdir()} == FILES
    assert json.loads((folder / "results.json").read_text())["score"]["count"] == 20
    net = timm.create_model(f"local-dir:{folder}", pretrained=True)
    assert net(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_demo_says_what_went_wrong_for_a_model_without_masks(tmp_path):
    with pytest.raises(ValueError, match=r"stdconv_cifar_resnet20. has no Gaussian masks: pass a gmconv_ or sgmconv_"):
        run_demo("stdconv_cifar_resnet20", tmp_path, images=80, epochs=1, progress=False)


def test_demo_is_deterministic_by_seed(tmp_path):
    lines = []
    for run in range(2):
        said = []
        run_demo("sgmconv_cifar_resnet20", tmp_path / str(run), epochs=1, images=80, progress=False, say=said.append)
        lines.append([line.replace(str(tmp_path / str(run)), "") for line in said])
    assert lines[0] == lines[1]
    first, second = ((tmp_path / str(run) / "model.safetensors").read_bytes() for run in range(2))
    assert first == second


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_demo_reaches_97_percent(tmp_path):
    result = run_demo(output=tmp_path, progress=False)
    assert result.before.top1_percent < 50
    assert result.after.count == 450
    assert result.after.top1_percent >= 97
    assert result.fused_difference < 1e-3
