import json
import multiprocessing
import runpy
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from torch import nn

import gmconv_zoo
from gmconv_zoo.classify.recipes import recipe_for
from gmconv_zoo.files.records import write_results, write_rows
from reproduce.experiments import run as run_module
from reproduce.experiments.arms import DATASETS, EXPERIMENTS, Dataset, plan_runs
from reproduce.experiments.datasets import check_recorded, experiment_data, write_folder
from reproduce.experiments.figure import draw_gains, draw_initial_sigmas
from reproduce.experiments.records import RunRecord, add_record, read_records, record_of_folder
from reproduce.experiments.run import RunSettings, run_all
from reproduce.experiments.tables import (
    differences,
    experiment_tables,
    gain_table,
    gains_by_images,
    highlights,
    paired_difference,
    parts_table,
)
from tests.images.image_folders import make_folder


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A small dataset under the name of CIFAR-10, of three classes."""
    monkeypatch.setitem(DATASETS, "CIFAR-10 test", Dataset("cifar10", 3, 24, 9, 32))
    make_folder(tmp_path / "data" / "cifar10" / "train", 24)
    make_folder(tmp_path / "data" / "cifar10" / "test", 9)
    return tmp_path / "data"


def planned(family: str, **options) -> RunRecord:
    """The run of a family in Table I, two epochs unless the options say otherwise."""
    wanted = {"seeds": [3], "epochs": 2, "changes": {"batch_size": 8}, **options}
    (run,) = (run for run in plan_runs(["table1"], **wanted) if run.model.startswith(family))
    return run


def a_record(model="stdconv_cifar_resnet20", correct=900, **values) -> RunRecord:
    usual = {"options": {}, "dataset": "CIFAR-10 test", "epochs": 160, "changes": {}, "seed": 0, "precision": "no"}
    return RunRecord(model=model, **{**usual, "correct": correct, "top5": 990, "count": 1000, **values})


def test_arms_that_experiments_share_are_planned_once_and_whole_seeds_come_first():
    runs = plan_runs(["table1", "fig6"], seeds=[0, 1])
    assert len({run.key for run in runs}) == len(runs) == 10  # Fig. 6 shares two arms with Table I
    assert [run.seed for run in runs] == [0] * 5 + [1] * 5
    assert {run.model for run in runs[:5]} == {f"{f}_cifar_resnet20" for f in ("stdconv", "sgmconv", "gmconv")}
    static = [run.options for run in runs[:5] if run.model.startswith("sgm")]
    assert static == [{}, {"sigma_init": 1.0}, {"sigma_init": 10.0}]


def test_paper_s_recipe_is_changed_only_where_an_arm_says_so():
    runs = plan_runs(["sigma-decay"], seeds=[0])
    assert [(run.epochs, run.changes) for run in runs] == [(160, {}), (160, {"sigma_weight_decay": 0.0})]
    shorter, _ = plan_runs(["sigma-decay"], seeds=[0], epochs=10)
    assert (shorter.epochs, shorter.changes) == (10, {})
    assert shorter.recipe == recipe_for(shorter.model).adapt(epochs=10)
    assert planned("sgmconv", changes={"batch_size": 8, "clip_sigma": 0.02}) == planned("sgmconv")  # has no use for it
    for run in plan_runs(["kernel7-decay"], seeds=[0]):
        assert run.changes == {"sigma_weight_decay": 0.0, "weight_decay": 5e-4}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"experiments": ["table2"]}, r"experiments=\['table2'\]: pass one or more of table1, table1-long"),
        ({"experiments": []}, r"experiments=\[\]: pass one or more of table1"),
        ({"experiments": ["fig6"], "datasets": ["svhn"]}, r"set 'svhn': pass one or more of cifar10, cifar100"),
        (
            {"experiments": ["fig6"], "datasets": ["cifar10:15"]},
            r"cifar10:15': pass a number of images below 50,000 that",
        ),
        ({"experiments": ["fig6"], "changes": {"speed": 3}}, r"a recipe has no field speed"),
    ],
)
def test_what_cannot_be_planned_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        plan_runs(**arguments)


def test_every_experiment_compares_different_arms_with_one_of_them():
    for experiment in EXPERIMENTS.values():
        assert experiment.against in [arm.label for arm in experiment.arms]
        settings = {json.dumps([arm.family, arm.options, arm.changes, arm.masked_start]) for arm in experiment.arms}
        assert len(settings) == len(experiment.arms)


def test_records_survive_the_file_and_replace_their_like(tmp_path):
    path = tmp_path / "results" / "runs.csv"
    first = a_record("gmconv_cifar_resnet20", options={"sigma_init": 1.0}, stem_live="1 0.5", seconds=12.5, threads=2)
    failed = a_record(seed=1, correct=None, top5=None, count=None, status="NonFiniteError: the loss is nan, step 3")
    for record in (failed, first):
        add_record(path, record)
    assert sorted(read_records(path, RunRecord), key=lambda r: r.seed) == [first, failed]
    better = replace(first, correct=950)
    add_record(path, better)
    assert sorted(read_records(path, RunRecord), key=lambda r: r.seed) == [better, failed]
    for record in (better, failed):  # the order in which runs finish does not matter
        add_record(tmp_path / "other.csv", record)
    assert (tmp_path / "other.csv").read_text() == path.read_text()


@pytest.mark.parametrize(
    ("change", "another"),
    [
        ({"seed": 1}, True),
        ({"options": {"sigma_init": 1.0}}, True),
        ({"changes": {"lr": 0.2}}, True),
        ({"dataset": "CIFAR-100 test"}, True),
        ({"precision": "bf16"}, True),
        ({"masked_start": 2.33}, True),
        ({"correct": 901, "commit": "abc", "device": "a CPU", "status": "NonFiniteError"}, False),
    ],
)
def test_runs_are_told_apart_by_what_was_asked_for_and_not_by_what_came_of_it(tmp_path, change, another):
    for record in (a_record(), replace(a_record(), **change)):
        add_record(tmp_path / "runs.csv", record)
    assert len(read_records(tmp_path / "runs.csv", RunRecord)) == 1 + another


@pytest.mark.parametrize("line", ["a,b", "m,{},d,x,{},0,no,done,,,,,,,,,,,,,", "m,{,d,1,{},0,no,done,,,,,,,,,,,,,"])
def test_damaged_row_and_a_folder_without_a_finished_run_are_named(tmp_path, line):
    path = tmp_path / "runs.csv"
    add_record(path, a_record())
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match=r"runs\.csv, line 3, is not a recorded run"):
        read_records(path, RunRecord)
    with pytest.raises(ValueError, match=r"holds no finished run.*train it to its end"):
        record_of_folder(tmp_path)


def test_record_of_a_folder_has_the_counts_and_the_last_row_of_its_run(tmp_path):
    results = {"model": "gmconv_cifar_resnet20", "recipe": recipe_for("cifar_resnet20").to_dict(), "dataset": "images"}
    results |= {"seed": 0, "precision": "no", "seconds": 1.0, "date": "", "score": {"top1": 3, "top5": 5, "count": 9}}
    write_results(tmp_path, results)
    last = {
        "sigma/a.horizontal_spread": 0.1,
        "sigma/a.vertical_spread": 0.3,
        "sigma/a.mask_spread": 0.4,
        "sigma/b": 4.5,
    }
    write_rows(tmp_path / "summary.csv", [dict.fromkeys(last, 9.0), last])
    record = record_of_folder(tmp_path)
    assert (record.correct, record.top5, record.count, record.sigmas) == (3, 5, 9, "4.5")
    assert (record.stem_spread, record.stem_mask_spread) == (pytest.approx(0.2), 0.4)


def test_command_trains_and_records_runs_once_and_prints_their_table(data, tmp_path, monkeypatch, capsys):
    def command(*options: object) -> int | str:
        monkeypatch.setattr(sys, "argv", ["experiments", *map(str, options)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module("reproduce.experiments", run_name="__main__")
        return ended.value.code

    places = ["--data-dir", data, "--output", tmp_path / "out", "--results", tmp_path / "runs.csv"]
    wanted = ["sigma-decay-dynamic", "--epochs", "1", "--batch-size", "8", "--seeds", "3", *places]
    assert command(*wanted) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("2 runs: 0 are recorded")
    assert "No experiment has been recorded" in printed  # at another batch size than the paper's
    undecayed, record = read_records(tmp_path / "runs.csv", RunRecord)
    assert (record.dataset, record.epochs, record.seed, record.count) == ("CIFAR-10 test", 1, 3, 9)
    assert record.changes == {"batch_size": 8}
    assert undecayed.changes == {"batch_size": 8, "sigma_weight_decay": 0.0}
    assert (len(record.stem_live.split()), len(record.sigmas.split())) == (4, 18)
    assert record.stem_mask_spread is not None
    assert record.torch
    assert record.key == planned("gmconv", epochs=1).key
    monkeypatch.setattr(run_module, "train_one", None)
    assert command(*wanted) == 0
    assert str(command("tabel1")).startswith("python -m reproduce.experiments: experiments=['tabel1']: pass one")


def test_depthwise_network_is_trained_at_the_size_of_the_images_and_not_at_its_own(data, tmp_path):
    run = plan_runs(["depthwise3"], seeds=[0], epochs=1, changes={"batch_size": 8})[0]
    assert run_module.train_one(run, RunSettings(data, tmp_path)).key == run.key
    (config,) = tmp_path.glob("cifar10-convnext_atto-*-1epochs-seed0/config.json")
    assert json.loads(config.read_text())["pretrained_cfg"]["input_size"] == [3, 32, 32]


def test_control_without_a_mask_starts_from_the_kernels_that_the_masked_network_starts_with(data, tmp_path):
    masked, control = plan_runs(["kernel7-parts"], seeds=[0], epochs=1, changes={"batch_size": 8, "lr": 1e-30})[1::2]
    kernels = []
    for run in (masked, control):
        record = run_module.train_one(run, RunSettings(data, tmp_path / run.model))
        assert (record.key, record.masked_start) == (run.key, run.masked_start)
        (folder,) = (tmp_path / run.model).glob("*/")
        net = gmconv_zoo.fuse(gmconv_zoo.load(folder))
        kernels.append([module.weight for module in net.modules() if isinstance(module, (nn.Conv2d, nn.Linear))])
    for with_mask, without in zip(*kernels, strict=True):
        assert torch.equal(with_mask, without)


def test_masks_that_are_not_trained_keep_their_sigma(data, tmp_path):
    run = plan_runs(["kernel7-parts"], seeds=[0], epochs=1, changes={"batch_size": 8})[2]
    record = run_module.train_one(run, RunSettings(data, tmp_path))
    assert (record.key, set(record.sigmas.split())) == (run.key, {"2.33"})


def test_an_error_that_says_nothing_of_a_network_is_no_row(data, tmp_path, monkeypatch):
    def full(*_args, **_options):
        raise OSError("No space left on device")

    monkeypatch.setattr(run_module, "train_by_recipe", full)
    with pytest.raises(OSError, match="No space left"):
        run_all([planned("gmconv")], tmp_path / "results.csv", RunSettings(data, tmp_path / "runs"))
    assert not (tmp_path / "results.csv").exists()


def test_runs_of_another_precision_have_folders_of_their_own(data, tmp_path, monkeypatch):
    folders = []
    monkeypatch.setattr(run_module, "train_by_recipe", lambda *_, output, **__: folders.append(output.name))
    monkeypatch.setattr(run_module, "record_of_folder", lambda _: a_record())
    monkeypatch.setattr(run_module, "default_accelerator", lambda **_: None)  # one precision a process is accelerate's
    for precision, compiled in (("no", False), ("bf16", False), ("bf16", True)):
        settings = RunSettings(data, tmp_path, compile=compiled)
        run_module.train_one(planned("gmconv", precision=precision), settings)
    name = "cifar10-gmconv_cifar_resnet20-batch_size=8-2epochs-seed3"
    assert folders == [name, f"{name}-bf16", f"{name}-bf16-compiled"]


def test_run_that_diverges_is_a_row_and_is_not_repeated(data, tmp_path, capsys):
    run = planned("sgmconv", epochs=1, changes={"batch_size": 8, "lr": 1e30})
    results, settings = tmp_path / "results.csv", RunSettings(data, tmp_path / "runs")
    (record,) = run_all([run], results, settings)
    assert record.status.startswith("NonFiniteError: stopped at step")
    assert record.top1_percent is None
    assert record.device
    capsys.readouterr()
    assert read_records(results, RunRecord) == run_all([run], results, settings) == [record]
    assert capsys.readouterr().out == f"1 runs: 1 are recorded in {results}, 0 are to be trained\n"


@pytest.mark.slow
def test_several_jobs_give_what_one_gives(data, tmp_path, monkeypatch):
    forked = multiprocessing.get_context("fork")  # so that the jobs know the small dataset
    monkeypatch.setattr("reproduce.experiments.run.multiprocessing.get_context", lambda _: forked)
    runs = [planned("stdconv"), planned("sgmconv")]
    together = run_all(runs, tmp_path / "two.csv", RunSettings(data, tmp_path / "two", jobs=2))
    one = run_all(runs[:1], tmp_path / "one.csv", RunSettings(data, tmp_path / "one"))
    assert [record.model for record in together] == [run.model for run in runs]
    assert together[0].correct == one[0].correct


def test_subset_has_the_same_number_of_every_class_and_another_dataset_is_refused(data, tmp_path):
    run = planned("gmconv", datasets=["cifar10:6"])
    assert (run.dataset, run.train_images) == ("CIFAR-10 test", 6)
    assert run.key != planned("gmconv").key
    place = experiment_data(run.dataset, 6, data, tmp_path / "out")
    images = Counter(path.relative_to(place).parts[:2] for path in Path(place).rglob("*.png"))
    assert sorted((split, count) for (split, _), count in images.items()) == [("train", 2)] * 3 + [("val", 3)] * 3
    assert experiment_data(run.dataset, 6, data, tmp_path / "out") == place
    make_folder(data / "cifar10" / "train" / "a fourth class", 1)
    with pytest.raises(ValueError, match=r"but CIFAR-10 has 3 classes, 24 training and 9 validation images: pass"):
        experiment_data(run.dataset, None, data, tmp_path)


def test_folder_that_two_processes_write_at_once_is_complete(tmp_path):
    image = Image.new("RGB", (4, 4))

    def files(other):
        yield "train/a.png", image
        if other:
            write_folder(tmp_path / "data" / "subset", files(other=False))
        yield "train/b.png", image

    write_folder(tmp_path / "data" / "subset", files(other=True))
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert written == ["data/subset/train/a.png", "data/subset/train/b.png"]


def test_a_run_is_not_recorded_under_the_name_of_a_dataset_it_was_not_trained_on(tmp_path):
    (tmp_path / "config.json").write_text('{"num_classes": 10}')
    for train, record, refused in (
        (50_000, a_record(count=10_000), ""),
        (50_000, a_record(count=9_999), "10 classes, 50,000 training and 9,999 validation images"),
        (40_000, a_record(count=10_000), "10 classes, 40,000 training and 10,000 validation images"),
        (50_000, a_record(count=10_000, dataset="CIFAR-100 test"), "CIFAR-100 has 100 classes"),
        (12, a_record(count=9, dataset="my photos"), ""),
    ):
        (tmp_path / "results.json").write_text(json.dumps({"training_images": train}))
        with pytest.raises(ValueError, match=refused) if refused else nullcontext():
            check_recorded(record, tmp_path)


def test_large_depthwise_kernels_have_maps_of_their_size_to_read():
    run = plan_runs(["depthwise7"], seeds=[0], epochs=24)[0]
    features = timm.create_model(run.model, features_only=True, **run.options)
    assert features.feature_info.reduction() == [1, 2, 4, 8]  # no map of a 32-pixel image is a single pixel
    assert (run.recipe.optimizer, run.recipe.schedule, run.recipe.sigma_weight_decay) == ("adamw", "cosine", 0.0)


def test_differences_are_paired_by_seed():
    difference = paired_difference({0: 91.0, 1: 92.0, 2: 93.0, 7: 10.0}, {0: 90.5, 1: 91.0, 2: 91.5, 8: 99.0})
    assert difference.points == pytest.approx((0.5, 1.0, 1.5))
    assert difference.value == pytest.approx(1.0)
    # by hand: deviations -0.5, 0, 0.5 have standard deviation 0.5; t(0.975, 2) = 4.302653
    assert difference.margin == pytest.approx(4.302653 * 0.5 / 3**0.5, rel=1e-6)
    assert str(paired_difference({0: 91.0}, {0: 91.5})) == "-0.50 (one pair, no interval)"
    assert str(paired_difference({0: 91.0, 1: 92.0}, {0: 91.5, 1: 92.5})) == "-0.50 (2 pairs, no interval)"
    assert paired_difference({0: 91.0}, {1: 91.5}) is None


def test_table_says_mean_range_difference_and_whether_the_stem_is_dynamic():
    records = [a_record(seed=seed, correct=900 + seed) for seed in range(3)]
    records += [
        a_record("gmconv_cifar_resnet20", seed=seed, correct=905 + seed, stem_mask_spread=spread, stem_live=live)
        for seed, (spread, live) in enumerate([(0.031, "1 0.9"), (0.02, "1 0.86"), (0.0123, "1 1")])
    ]
    records.append(a_record("gmconv_cifar_resnet20", seed=3, correct=None, top5=None, count=None, status="died"))
    assert "| S-GMConv | not run | - | - | - | - |" in experiment_tables(records)
    without_reference = [record for record in records if record.model != "stdconv_cifar_resnet20"]
    assert experiment_tables(without_reference).startswith("No experiment has been recorded in most of its arms")
    records.append(a_record("sgmconv_cifar_resnet20", correct=None, top5=None, count=None, status="died"))
    text = experiment_tables(records)
    assert "Table IV" not in text  # two of its arms are Table I's, the others have no run
    assert "**Networks of Table I.** CIFAR-10 test, cifar_resnet20, the paper's 160 epochs, float32." in text
    assert "| standard | 3 | 90.10 | 90.00 to 90.20 | (compared with this) | - |" in text
    assert "| S-GMConv | 0, 1 failed | - | - | - | - |" in text
    assert "| GMConv | 3, 1 failed | 90.60 | 90.50 to 90.70 | +0.50 (+0.50 to +0.50) | dynamic in 2 of 3 " in text
    assert "(mask spread 0.012 to 0.031, every hidden unit above 0 on 86 % of images or more)" in text


def test_an_arm_that_names_the_recipe_s_own_values_is_found_among_the_records():
    runs = plan_runs(["kernel7-standard"], seeds=[0], epochs=24)
    records = [replace(run, correct=900 + place, top5=999, count=1000) for place, run in enumerate(runs)]
    table = experiment_tables(records)
    assert all(f"| {arm.label} | 1 | 90." in table for arm in EXPERIMENTS["kernel7-standard"].arms)


def test_readme_prefers_all_images_once_three_seeds_are_recorded():
    def runs(seeds, **options):
        return [
            a_record(f"{f}_cifar_resnet20", seed=s, **options) for f in ("stdconv", "sgmconv") for s in range(seeds)
        ]

    few = runs(5, train_images=1000)
    assert "1,000 images, 160 epochs, 5 seeds" in highlights([*few[:-1], *runs(2)])
    assert "all images" in highlights([*few, *runs(3)])


def test_parts_of_a_mask_are_compared_with_the_network_without_it():
    rows = parts_table(runs_of("kernel7-parts", (0, 1, 2), gain=10, train_images=1000)).splitlines()
    assert rows[0].endswith("| no mask, but kernels multiplied by it before training |")
    assert rows[2:] == ["| 7x7 | 1,000 | +1.00 (+1.00 to +1.00) | +2.00 (+2.00 to +2.00) | +3.00 (+3.00 to +3.00) |"]


def runs_of(experiment, seeds=(0,), gain=1, **options):
    """A run of every arm for every seed, the masked ones better by so many images."""
    return [
        a_record("_".join(filter(None, [arm.family, "cifar_resnet20"])), 800 + 5 * seed + gain * place,
                 options=arm.options, changes=arm.changes, seed=seed, masked_start=arm.masked_start, **options)
        for seed in seeds for place, arm in enumerate(EXPERIMENTS[experiment].arms)
    ]  # fmt: skip


def test_gains_are_drawn_over_kernel_sizes_and_initial_sigmas(tmp_path):
    records = runs_of("kernel3", (0, 1)) + runs_of("kernel7", (0, 1))
    (gains,) = differences(records, EXPERIMENTS["kernel7"]).values()
    assert [gain.value for gain in gains.values()] == [pytest.approx(0.1 * place) for place in (1, 2, 3, 4)]
    assert draw_gains(records, tmp_path / "gain.png").stat().st_size > 10_000
    assert draw_initial_sigmas(runs_of("fig6", (0, 1)), tmp_path / "fig6.png").stat().st_size > 10_000


def test_gains_are_of_the_setting_with_most_pairs_for_each_number_of_images():
    records = [
        *runs_of("kernel7", gain=30),
        *runs_of("kernel7", gain=20, train_images=5000),
        *runs_of("kernel7", (0, 1, 2), gain=10, train_images=5000, precision="bf16"),
    ]
    found = {
        images: by_size[7]["S-GMConv from 5"].value for images, by_size in gains_by_images(records, "kernel").items()
    }
    assert found == {5000: pytest.approx(1.0), None: pytest.approx(3.0)}


def test_pairs_of_all_large_kernels_are_pooled_and_counted():
    records = [*runs_of("kernel3", (0, 1)), *runs_of("kernel5", (0, 1)), *runs_of("kernel11", (0, 1), gain=-3)]
    rows = gain_table(records).splitlines()[2:]
    assert [row.split(" | ")[2] for row in rows] == ["3x3", "5x5", "11x11", "all larger than 3x3"]
    assert rows[1].startswith("| ResNet-8 | all | 5x5 | +0.10 (2 pairs, no interval), 2 of 2 |")
    # by hand: 0.1, 0.1, -0.3, -0.3 have mean -0.1 and standard deviation 0.231; t(0.975, 3) = 3.182
    assert ", 0 of 1 |" in gain_table(runs_of("kernel3", gain=0))
    assert rows[3].startswith("| ResNet-8 | all | all larger than 3x3 | -0.10 (-0.47 to +0.27), 2 of 4 |")
