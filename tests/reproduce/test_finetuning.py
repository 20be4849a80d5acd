"""The finetuning study: every run a row, runs that are recorded are not repeated, and a table of them."""

from dataclasses import replace

import pytest
import timm

import gmconv_zoo
from gmconv_zoo.cli.command import run
from reproduce.experiments import finetuning
from reproduce.experiments.finetuning import add_options, main
from reproduce.experiments.finetuning_records import FinetuningRun, finetuning_gains, finetuning_table
from reproduce.experiments.records import read_records
from tests.images.image_folders import make_folder, make_splits


def study(*options):
    with pytest.raises(SystemExit) as ended:
        run("finetuning", "", add_options, main, options)
    return ended.value.code


def test_every_run_becomes_a_row_and_is_not_repeated(tmp_path, capsys):
    make_splits(tmp_path / "photos", val=12)
    results = tmp_path / "results.csv"
    options = ["--data", f"photos={tmp_path / 'photos'}", "--sets", "photos:4", "--image-size", "16", "--families"]
    options += ["plain", "gmconv", "--epochs", "2", "--results", str(results)]
    assert study(*options) == 0
    rows = results.read_text()
    runs = read_records(results, FinetuningRun)
    assert [(one.family, one.batch, one.count, len(one.curve.split())) for one in runs] == [
        ("gmconv", 8, 12, 2),
        ("plain", 8, 12, 2),
    ]
    by_hand = replace(runs[0], correct=6, count=12, curve="1:6 2:3", best_epoch=1, sigma_init="kernel")
    assert "| 50.0 | 25.0 | 1 of 2 |" in finetuning_table([by_hand])
    assert "| GMConv from kernel |" in finetuning_table([by_hand])
    assert by_hand.key != runs[0].key
    capsys.readouterr()
    assert study(*options) == 0
    assert (results.read_text(), capsys.readouterr().out) == (rows, "")


def test_masked_networks_are_compared_with_the_standard_one_of_the_same_seed_and_setting():
    usual = {"net": "n", "start": "pretrained", "dataset": "d", "per_class": 5, "image_size": 32, "statistics": "kept"}
    usual |= {"optimizer": "adamw", "lr": 0.1, "batch": 8, "epochs": 2, "precision": "no", "count": 100}
    plain = [FinetuningRun(**usual, family="plain", seed=seed, correct=40 + seed) for seed in range(3)]
    masked = [FinetuningRun(**usual, family="sgmconv", seed=seed, correct=42 + 2 * seed) for seed in range(3)]
    others = [replace(one, lr=0.2, correct=99) for one in masked] + [replace(masked[0], sigma_init="kernel")]
    rows = finetuning_gains([*plain, *masked, *others]).splitlines()[2:]
    # by hand: differences 2, 3, 4 have standard deviation 1; t(0.975, 2) = 4.302653
    assert rows == ["| n | d, 5 of each class, 32 px | 0.1 | S-GMConv | 3 | +3.00 (+0.52 to +5.48) |"]


def test_best_epoch_is_the_first_of_the_highest_accuracy_and_a_random_start_takes_no_pretrained_weights(
    tmp_path, caplog
):
    make_folder(tmp_path / "photos", 30)
    options = ["--data", f"photos={tmp_path / 'photos'}", "--sets", "photos", "--image-size", "16", "--start", "random"]
    options += ["--families", "plain", "--epochs", "2", "--rates", "0", "--results", str(tmp_path / "results.csv")]
    assert study(*options) == 0
    assert "stdconv_cifar_resnet20 starts from random weights" in caplog.text
    (found,) = read_records(tmp_path / "results.csv", FinetuningRun)
    assert found.best_epoch == 1, "nothing was learned, so no later epoch is better"
    assert found.curve == f"1:{found.correct} 2:{found.correct}"


def test_any_network_starts_from_weights_of_its_plain_form(tmp_path):
    plain = timm.create_model("stdconv_cifar_resnet20", layers=[1, 1, 1], kernel_size=5)
    saved = gmconv_zoo.save(plain, tmp_path / "plain")
    make_folder(tmp_path / "photos", 30)
    options = ["--data", f"photos={tmp_path / 'photos'}", "--sets", "photos", "--image-size", "16", "--epochs", "1"]
    options += ["--net", "resnet8", "--rates", "0", "--results", str(tmp_path / "results.csv")]
    assert "resnet8 needs weights to start from" in str(study(*options))
    assert study(*options, "--weights", str(saved)) == 0
    runs = read_records(tmp_path / "results.csv", FinetuningRun)
    assert [one.family for one in runs] == ["gmconv", "plain", "sgmconv"]
    assert len({one.curve for one in runs}) == 1, "converted networks predict as the plain one does"


def test_images_network_and_recipe_of_a_run_are_those_that_were_asked_for(tmp_path, monkeypatch):
    seen = []

    def look(net, images, recipe, **_):
        seen.append((net, images.train.names, recipe))
        raise OSError("seen")

    monkeypatch.setattr(finetuning, "make_loaders", look)
    make_splits(tmp_path / "photos")
    options = [f"--data=digits={tmp_path / 'photos'}", "--sets=digits:2", f"--results={tmp_path / 'results.csv'}"]
    for seed in (0, 1):
        study(*options, f"--seeds={seed}", "--families=gmconv")
    study(*options, "--families=sgmconv", "--start=frozen", "--statistics=batch", "--layer-decay=0.5")
    study(*options, "--families=sgmconv", "--weights=stdconv_cifar_resnet20.cifar10", "--sigma-init=1.5")
    (net, names, recipe), (_, others, _), (static, _, changed), (converted, *_) = seen
    assert len(names) == 6
    assert names != others
    assert isinstance(net.conv1, gmconv_zoo.DGMConv2d)
    assert all(isinstance(found.conv1, gmconv_zoo.SGMConv2d) for found in (static, converted))
    assert converted.conv1.sigma.item() == 1.5
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert [name for name, parameter in static.named_parameters() if parameter.requires_grad] == [
        "fc.weight",
        "fc.bias",
    ]
    assert (recipe.freeze_statistics, recipe.layer_decay, recipe.flip) == (True, 1.0, False)
    assert (changed.freeze_statistics, changed.layer_decay) == (False, 0.5)


def test_a_sigma_for_weights_that_have_their_own_is_refused(tmp_path):
    said = study(
        "--families", "sgmconv", "--sigma-init", "kernel", "--output", str(tmp_path), "--results", str(tmp_path / "r")
    )
    assert "leave --sigma-init out, or pass --weights" in str(said)


def test_images_without_a_folder_are_refused(tmp_path):
    said = study("--sets", "photos", "--results", str(tmp_path / "results.csv"))
    assert "the folder of photos is unknown: pass it with --data photos=FOLDER" in str(said)
