"""Sigmas of recorded runs by depth, and the sigma that weight decay alone gives."""

import runpy
import sys
from dataclasses import replace

import pytest
import torch
from matplotlib.image import imread

from gmconv_zoo.classify.recipes import recipe_for
from gmconv_zoo.engine.optim import build_optimizer, build_scheduler
from gmconv_zoo.files.records import read_rows
from gmconv_zoo.layers import SGMConv2d
from reproduce.experiments.records import RunRecord, add_record
from reproduce.experiments.sigmas import decayed_sigma, depth_table, undecayed_runs, undecayed_table


def a_record(family: str, seed: int, sigmas: str, **values) -> RunRecord:
    options = {"kernel_size": 3, "layers": [1, 1, 1], "sigma_init": "kernel"}
    common = {"dataset": "CIFAR-10 test", "epochs": 1, "precision": "no", "changes": {"sigma_weight_decay": 0.0}}
    return RunRecord(
        **{**common, "model": f"{family}_cifar_resnet20", "options": options, "seed": seed, "sigmas": sigmas, **values}
    )


RECORDS = [
    a_record("sgmconv", 0, "0.5 1 1.1 1.2 1.3 1.4 1.5"),
    a_record("sgmconv", 1, "1.4 1 1.1 1.2 1.3 1.6 1.5"),
    replace(a_record("sgmconv", 1, "0.9 1 1.1 1.2 1.3 1.4 0.8"), precision="bf16"),
    a_record("gmconv", 0, "1 1.1 1.2 1.3 1.4 1.5"),
    a_record("sgmconv", 2, "9 1 1 1 1 1 9", changes={}),  # decayed
    a_record("sgmconv", 2, "1 1 1 1 1 1 1", changes={"sigma_weight_decay": 0.0, "sigma_lr_scale": 0.0}),  # not trained
    a_record("stdconv", 0, ""),
]


def test_decay_alone_is_what_the_optimizer_does_to_a_sigma_without_gradient():
    recipe = recipe_for("cifar_resnet20").override(
        epochs=4, milestones=(2, 3), batch_size=8, weight_decay=0.02, sigma_weight_decay=0.02, sigma_lr_scale=2.0
    )
    layer = SGMConv2d(1, 1, 3, sigma_init=5.0)
    optimizer = build_optimizer(layer, recipe)
    scheduler = build_scheduler(optimizer, recipe, updates_per_epoch=3)
    for update in range(1, 13):
        layer.sigma.grad = torch.zeros(1)
        optimizer.step()
        scheduler.step_update(update)
    assert decayed_sigma(5.0, recipe, images=20) == pytest.approx(layer.sigma.item(), rel=1e-5)
    assert layer.sigma.item() < 4.9


def test_undecayed_runs_are_counted_by_start_and_family():
    static, dynamic = undecayed_runs(RECORDS)
    assert (static.family, static.start, len(static.sigmas), static.seeds) == ("S-GMConv", 1.0, 3, 2)
    assert (static.layers[0], dynamic.layers[0]) == ("conv1", "layer1.0.conv1")
    heading, _, _, _, first, second = undecayed_table(RECORDS).splitlines()
    assert heading == "**cifar_resnet20 with 3 blocks, trained for 1 epochs on all images of CIFAR-10.**"
    assert first.startswith("| 3x3 | S-GMConv | 1 | 3 (2) | 1 of 3 | 2 of 3 | 1 of 3 | 2 of 3 | 0.933, 1, 1.1")
    assert second.startswith("| 3x3 | GMConv | 1 | 1 (1) | - | - | 1 of 1 | 1 of 1 | -, 1, 1.1")
    whole = a_record("sgmconv", 0, " ".join(["4.9"] * 19), options={})
    records = [*RECORDS, whole, replace(RECORDS[0], train_images=5000)]
    found = [(len(group.layers), group.start) for group in undecayed_runs(records)]
    assert found == [(7, 1.0), (7, 1.0), (6, 1.0), (19, 5.0)]
    assert undecayed_table(records).count("**") == 2 * 3
    # by hand: the ranks 2 3 4 5 6 7 1 of the third run have the correlation 1 - 6 (6 + 36) / (7 (49 - 1)) = 0.25
    repeated = [*RECORDS, replace(RECORDS[0], precision="bf16")]  # with equal sigmas
    assert depth_table(repeated).splitlines()[2] == depth_table(RECORDS).splitlines()[2]
    assert depth_table(RECORDS).splitlines()[2] == "| 3x3 | 4 | 1 of 3 | 2 of 3 | 2 of 4 | 3 of 4 | 0.25 to 1.00 |"


def test_command_draws_sigma_by_depth_with_its_numbers(tmp_path, monkeypatch):
    for record in RECORDS:
        add_record(tmp_path / "runs.csv", record)
    figure = tmp_path / "figures" / "depth.png"
    options = ["--results", str(tmp_path / "runs.csv"), "--sigma-figure", str(figure)]
    monkeypatch.setattr(sys, "argv", ["experiments", *options])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("reproduce.experiments", run_name="__main__")
    with pytest.raises(SystemExit, match=r"sigma-figure .* exists"):
        runpy.run_module("reproduce.experiments", run_name="__main__")
    assert min(imread(figure).shape[:2]) > 400
    rows = read_rows(figure.with_suffix(".csv"))
    first = next(row for row in rows if row["layer"] == "conv1")
    assert [float(first[name]) for name in ("mean", "lowest", "highest")] == pytest.approx([2.8 / 3, 0.5, 1.4], 1e-5)
    shipped = [row for row in rows if row["panel"] == "3x3, decayed"]
    assert len(shipped) == 19 + 18
    assert float(shipped[0]["mean"]) == pytest.approx(2.081 / 2.699, abs=1e-3)
