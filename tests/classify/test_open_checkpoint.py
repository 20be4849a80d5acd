"""A checkpoint is opened as the network of its run, and gmconv validate takes a run that has not ended."""

import csv
import shutil

import pytest
import timm
import torch
from safetensors.torch import save_file

from gmconv_zoo.classify.networks import find_checkpoints, open_checkpoint
from gmconv_zoo.classify.train import finetune, train_by_recipe
from gmconv_zoo.files.state_file import read_state, write_state
from gmconv_zoo.saving.label_names import recorded_names
from gmconv_zoo.saving.named import open_model
from gmconv_zoo.validation.validate import find_models
from tests.images.image_folders import make_folder, make_splits

OPTIONS = {"sigma_design": "pair", "sigma_init": 2.0, "stages": (1,)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of a network with options, whose weights are a running average."""
    root = tmp_path_factory.mktemp("trained")
    make_splits(root / "images")
    changes = {"epochs": 1, "batch_size": 8, "ema_decay": 0.9}
    options = {"overrides": changes, "model_options": OPTIONS, "progress": False}
    train_by_recipe("gmconv_cifar_resnet20.gm_cifar10", root / "images", output=root / "out", **options)
    return root


def logits(net):
    return net(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))


def test_checkpoint_is_the_network_that_the_run_saved(trained):
    net = open_checkpoint(trained / "out" / "checkpoints" / "last.safetensors")
    assert not net.training
    assert "pair" in net.conv1.extra_repr()
    assert recorded_names(net) == ["cat", "dog", "owl"]
    assert torch.equal(logits(net), logits(open_model(str(trained / "out"))))


def test_tag_decides_the_preprocessing(trained, tmp_path):
    identity = read_state(trained / "out" / "checkpoints" / "last.safetensors")["identity"]
    assert identity["start"] == "gmconv_cifar_resnet20.gm_cifar10"
    net = timm.create_model("gmconv_resnet18.from_a1_in1k", num_classes=2)
    identity = {"model": "gmconv_resnet18", "tag": "from_a1_in1k", "classes": ["a", "b"]}
    write_state(tmp_path / "last.safetensors", {"identity": identity, "model": net.state_dict(), "ema": None})
    found = open_checkpoint(tmp_path / "last.safetensors").pretrained_cfg
    assert (found["tag"], found["crop_pct"]) == ("from_a1_in1k", net.pretrained_cfg["crop_pct"])
    assert found["crop_pct"] != timm.create_model("gmconv_resnet18").pretrained_cfg["crop_pct"]


def test_finetuned_checkpoint_is_built_from_what_the_run_started_from(trained, tmp_path, monkeypatch):
    images = make_folder(tmp_path / "images", 24, classes=("a", "b"))
    shutil.copytree(trained / "out", tmp_path / "first" / "start")
    monkeypatch.chdir(tmp_path / "first")
    for start, resume in (("start", False), ("../first/start", True)):
        options = {"overrides": {"epochs": 1}, "progress": False, "resume": resume}
        finetune(images, start, output=tmp_path / "out", **options)
    monkeypatch.chdir(tmp_path)
    checkpoint = tmp_path / "out" / "checkpoints" / "best.safetensors"
    net = open_checkpoint(checkpoint)
    assert recorded_names(net) == ["a", "b"]
    assert torch.equal(logits(net), logits(open_model(str(tmp_path / "out"))))
    shutil.rmtree(tmp_path / "first")
    with pytest.raises(ValueError, match=rf"started from {tmp_path}/first/start, which does not exist any more"):
        open_checkpoint(checkpoint)


def test_command_counts_with_the_checkpoints_of_a_run_that_has_not_ended(trained, tmp_path, gmconv):
    shutil.copytree(trained / "out" / "checkpoints", tmp_path / "run" / "checkpoints")
    paths = [str(tmp_path / "run" / "checkpoints" / name) for name in ("best.safetensors", "last.safetensors")]
    for folder in (tmp_path / "run", tmp_path / "run" / "checkpoints"):
        assert [str(path) for path in find_checkpoints(folder)] == find_models(str(folder)) == paths
    assert find_models(str(trained / "out")) == [str(trained / "out")]  # it has ended: the network that it saved
    shutil.copytree(trained / "out", tmp_path / "ended")
    assert find_models(str(tmp_path)) == [str(tmp_path / "ended"), *paths]
    options = ("--model", tmp_path / "run", "--output", tmp_path / "counts")
    assert gmconv("validate", trained / "images" / "val", *options)[0] == 0
    with (tmp_path / "counts" / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    with (trained / "out" / "summary.csv").open() as file:
        (epoch,) = csv.DictReader(file)
    assert [row["model"] for row in rows] == paths
    assert {row["top1"] for row in rows} == {epoch["val_top1"]}
    assert {row["count"] for row in rows} == {"6"}


def test_what_is_no_checkpoint_of_a_classifier_is_refused(tmp_path):
    save_file(timm.create_model("stdconv_cifar_resnet20").state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match=r"weights\.safetensors is not a checkpoint .* pass the folder of its network"):
        open_checkpoint(tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match=r"weights\.safetensors is a file: pass the folder of its network or run, or"):
        open_model(str(tmp_path / "weights.safetensors"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no config\.json in it or in a folder of it, and no checkpoint"):
        find_models(str(tmp_path / "empty"))
    write_state(tmp_path / "last.safetensors", {"identity": {"detector": {}}, "model": {}, "ema": None})
    with pytest.raises(ValueError, match=r"is a checkpoint of a detector.*gmconv detect-train --resume continues"):
        open_checkpoint(tmp_path / "last.safetensors")
