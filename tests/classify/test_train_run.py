import json
import re
import shutil
import subprocess

import pytest
import timm
import torch
from safetensors.torch import load_file

from gmconv_zoo.classify.loading import eval_batch
from gmconv_zoo.classify.recipes import FINETUNE, FINETUNE_RANDOM, PAPER_RECIPES, Recipe, recipe_for
from gmconv_zoo.classify.train import train_by_recipe
from gmconv_zoo.engine.accumulation import part_size
from tests import launch
from tests.images.image_folders import make_folder, make_splits

NET = "sgmconv_cifar_resnet20"


def test_recipe_is_found_by_the_name_of_a_network_or_refused():
    names = {"gmconv_resnet18.from_tv_in1k": "resnet18", "resnet50": "resnet50", "stdconv_alexnet": "alexnet"}
    names |= {"mobilenetv2_100.ra_in1k": "mobilenetv2", "stdconv_cifar_resnet56": "cifar_resnet56"}
    assert all(recipe_for(model) is PAPER_RECIPES[net] for model, net in names.items())
    assert (recipe_for("finetune"), recipe_for("finetune", random_start=False)) == (FINETUNE_RANDOM, FINETUNE)
    with pytest.raises(ValueError, match=r"'convnext_tiny' is not one of .* recipes for \(cifar_resnet20.*--recipe"):
        recipe_for("convnext_tiny")


def test_shorter_run_moves_the_milestones():
    assert PAPER_RECIPES["cifar_resnet20"].adapt(epochs=10).milestones == (5, 8)
    assert PAPER_RECIPES["resnet18"].adapt(epochs=9).decay_epochs == 3
    assert PAPER_RECIPES["cifar_resnet20"].adapt(epochs=10, milestones=(3,)).milestones == (3,)
    assert PAPER_RECIPES["cifar_resnet20"].adapt(schedule="cosine").milestones == ()
    assert FINETUNE.adapt(epochs=1).warmup_epochs == 0.5


def test_every_field_can_be_changed_on_the_command_line(tmp_path, gmconv):
    make_splits(tmp_path / "images")
    options = (
        "--epochs 2 --milestones 1 --batch-size 8 --no-flip --clip-grad none --sigma-weight-decay 0 --accumulate 2 "
        "--model-options sigma_init=1.5 --ema-decay 0.9 --mixup 0.2 --freeze layer1 *.sigma "
        "--image-size 24"
    )
    assert gmconv("train", NET, tmp_path / "images", "--output", tmp_path / "out", *options.split())[0] == 0
    recipe = Recipe(**json.loads((tmp_path / "out" / "recipe.json").read_text()))
    changed = {"epochs": 2, "milestones": (1,), "batch_size": 8, "flip": False, "sigma_weight_decay": 0.0}
    changed |= {"ema_decay": 0.9, "mixup": 0.2, "clip_grad": None, "decay_epochs": 1}
    assert recipe == PAPER_RECIPES["cifar_resnet20"].override(**changed)
    net = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True)
    assert net.layer1[0].conv1.sigma.item() == 1.5
    assert net.pretrained_cfg["input_size"] == (3, 24, 24)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert (results["epoch"], results["frozen"]) == (2, ["layer1", "*.sigma"])


def test_named_data_set_of_timm_is_decoded_into_memory(tmp_path, monkeypatch):
    from torchvision.datasets import FakeData

    def create(name, split, **_):
        data = FakeData(20, (3, 32, 32), num_classes=4, random_offset=split == "train")
        data.targets = [int(data[i][1]) for i in range(20)]
        data.targets[:4] = range(4)
        return data

    monkeypatch.setattr("gmconv_zoo.data.named.create_dataset", create)
    options = {"data_dir": tmp_path, "output": tmp_path / "out", "overrides": {"epochs": 1, "batch_size": 10}}
    result = train_by_recipe(NET, "torch/fake", **options, progress=False)
    assert result.score.count == 20
    assert json.loads((tmp_path / "out" / "results.json").read_text())["dataset"] == "fake validation"


OPTIONS = {"overrides": {"epochs": 1, "batch_size": 8}, "model_options": {"sigma_init": 1.5}, "progress": False}


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A run of one epoch of two, and the folder of its images."""
    root = tmp_path_factory.mktemp("run")
    make_splits(root / "images")
    train_by_recipe(NET, root / "images", output=root / "out", **OPTIONS)
    return root


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model_options": {}}, "model options"),
        ({"memory_gb": 0.0}, "in memory"),
        ({"freeze": ["layer1"]}, "parameters trained"),
        ({"images": "other"}, "classes|labels"),
        ({"overrides": {"epochs": 1, "batch_size": 12}}, "recipe.batch_size"),
    ],
)
def test_a_run_goes_on_with_its_own_images_and_options_only(interrupted, changed, message):
    make_splits(interrupted / "other", classes=("a", "b", "d"))
    options = {**OPTIONS, **changed}
    images = interrupted / options.pop("images", "images")
    before = (interrupted / "out" / "checkpoints" / "last.safetensors").read_bytes()
    with pytest.raises(ValueError, match=f"is from another run: .*({message})"):
        train_by_recipe(NET, images, output=interrupted / "out", resume=True, **options)
    assert (interrupted / "out" / "checkpoints" / "last.safetensors").read_bytes() == before


def test_another_validation_set_is_refused_on_resuming_and_the_same_one_elsewhere_is_not(interrupted, tmp_path):
    shutil.copytree(interrupted / "images", tmp_path / "images")
    shutil.copytree(interrupted / "out", tmp_path / "out")
    first = tmp_path / "images" / "val" / "cat" / "0.png"
    for other in (first.with_name("00.png"), tmp_path / "images" / "val" / "dog" / "0.png"):
        first.rename(other)
        with pytest.raises(ValueError, match=r"another run: validation set is '6 images, .* there and '6 images"):
            train_by_recipe(NET, tmp_path / "images", output=tmp_path / "out", resume=True, **OPTIONS)
        other.rename(first)
    train_by_recipe(NET, tmp_path / "images", output=tmp_path / "out", resume=True, **OPTIONS)


def test_folder_of_a_training_is_ready_to_be_published(interrupted, tmp_path, gmconv):
    options = ("--repo", "org/net", "--dry-run", "--output", tmp_path / "staged")
    assert gmconv("publish", interrupted / "out", *options)[0] == 0
    score = json.loads((interrupted / "out" / "results.json").read_text())["score"]
    card = (tmp_path / "staged" / "README.md").read_text()
    assert f"{score['top1_percent']:.3f}".rstrip("0") in card
    assert "type: imagefolder" in card
    assert "datasets:" not in card
    assert "validation part of images" in card


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("torch/cifar10", "torch/cifar10: pass the folder in which it is stored"),
        ("torch/cifar11 --data-dir .", "torch/cifar11 in . (--data-dir), split 'train' (--train-split"),
        (
            "images --model-options colour=1",
            "sgmconv_cifar_resnet20 does not take the model options {'colour': 1} (--model-options): ",
        ),
        ("images --model-options global_pool=bad", "options {'global_pool': 'bad'} (--model-options): AssertionError"),
        ("images --model-options checkpoint_path=no.pth", "options {'checkpoint_path': 'no.pth'} (--model-options): F"),
        ("images --model-options features_only=True", "FeatureListNet is not a classifier of 3 classes"),
        ("images --model-options pretrained_cfg_overlay={'mean':3}", "mean is 3; it must be a list of numbers"),
        ("images --model-options drop_rate=a", f"drop_rate='a': {NET} takes a number from 0 to 1 (--model-options)"),
        ("images --model-options num_classes=7", "num_classes=7 (--model-options): leave it out; the data has 3"),
        ("images --optimizer adaam", "optimizer='adaam': timm has no such optimizer. Did you mean adam or "),
        ("images --freeze layer9", "freeze='layer9': the network has no such module or parameter"),
        ("images --accumulate 0", "accumulate=0: pass at least 1"),
        ("images --precision fp16", "fp16 needs a GPU; on a CPU pass bf16"),
        ("images --model-options colour", "'colour' is not KEY=VALUE"),
    ],
)
def test_command_answers_a_mistake_with_one_line(interrupted, arguments, said, gmconv, monkeypatch, forget_accelerator):
    monkeypatch.chdir(interrupted)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    status, _, err = gmconv("train", NET, *arguments.split(), "--epochs", "1")
    line = status if isinstance(status, str) else err.splitlines()[-1]
    assert line.startswith("gmconv train: ")
    assert said in line
    assert "\n" not in line


def test_an_unreadable_image_of_a_large_set_is_named_with_the_remedy(tmp_path):
    make_splits(tmp_path / "images")
    bad = sorted((tmp_path / "images" / "train").rglob("*.png"))[0]
    bad.write_bytes(b"nothing")
    options = {"overrides": {"epochs": 1, "batch_size": 8}, "memory_gb": 0.0, "progress": False}
    with pytest.raises(ValueError) as caught:
        train_by_recipe(NET, tmp_path / "images", output=tmp_path / "out", **options)
    assert str(caught.value).startswith(f"{bad} (not an image) cannot be read. Repair it and go on with resume")


def test_batches_are_shared_evenly_by_any_number_of_processes():
    assert [eval_batch(processes) for processes in (1, 2, 3, 7, 300)] == [256, 256, 255, 252, 300]
    with pytest.raises(ValueError, match="batch_size=8 cannot be shared by 3 processes"):
        part_size(8, parts=1, processes=3)


@pytest.mark.slow
@pytest.mark.parametrize(("nodes", "parts"), [(1, 1), (2, 2)])
def test_two_processes_equal_one_with_the_same_global_batch(tmp_path, nodes, parts):
    script = ("-m", "tests.classify.two_processes")
    launch.run(1, *script, tmp_path / "one", "1")
    network = ["--master-addr=127.0.0.1", "--master-port=29517", f"--nnodes={nodes}"]
    commands = [
        launch.command(2 // nodes, *script, tmp_path / "two", parts, nodes=[*network, f"--node-rank={rank}"])
        for rank in range(nodes)
    ]
    processes = [subprocess.Popen(command, env=launch.ENV, cwd=launch.ROOT) for command in commands]
    assert [process.wait(200) for process in processes] == [0] * nodes
    one, two = (load_file(tmp_path / name / "final.safetensors") for name in ("one", "two"))
    start = load_file(tmp_path / "one" / "start.safetensors")
    assert json.loads((tmp_path / "two" / "results.json").read_text())["processes"] == 2
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-5, msg=name)
    assert not torch.allclose(one["6.weight"], start["6.weight"], atol=1e-2)
    scores = [json.loads((tmp_path / name / "results.json").read_text())["score"] for name in ("one", "two")]
    assert scores[0] == scores[1]
    assert scores[0]["count"] == 37


@pytest.mark.slow
def test_two_processes_leave_out_the_same_images(tmp_path):
    for part, count in (("train", 25), ("val", 7)):
        images = sorted(make_folder(tmp_path / "images" / part, count).rglob("*.png"))
        for path in images[3:5]:  # one for each process
            path.write_bytes(b"no image")
    options = ["--epochs", "1", "--batch-size", "8", "--memory-gb", "0", "--skip-bad"]
    launch.run(2, "scripts/train.py", NET, tmp_path / "images", "--output", tmp_path / "out", *options)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert (len(results["skipped_images"]), results["score"]["count"]) == (4, 5)


@pytest.mark.slow
def test_divergence_ends_all_processes_and_names_where_it_began(tmp_path):
    make_splits(tmp_path / "images")
    command = ["scripts/train.py", NET, tmp_path / "images", "--output", tmp_path / "out"]
    options = ["--epochs", "2", "--batch-size", "8", "--lr", "1e30", "--clip-grad", "none", "--warmup-epochs", "0"]
    done = launch.run(2, *command, *options, fails=True)
    said = r"gmconv train: stopped at step 2: the loss is nan; .*the output of layer1\.0\.conv1 is not"
    assert re.search(said, done.stderr), done.stderr[-3000:]
    assert not (tmp_path / "out" / "results.json").exists()


@pytest.mark.slow
def test_accelerate_launch_gives_what_the_script_alone_gives(tmp_path, monkeypatch):
    make_splits(tmp_path / "images", val=7)
    monkeypatch.setitem(launch.ENV, "HF_HOME", str(tmp_path))  # no configuration of accelerate's
    accelerate = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes=1"]
    for name, launcher in (("alone", []), ("launched", accelerate)):
        options = ["--epochs", "1", "--batch-size", "8", "--output", tmp_path / name]
        launch.run(1, *launcher, "scripts/train.py", NET, tmp_path / "images", *options)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("alone", "launched"))
    assert all(torch.equal(two[key], value) for key, value in one.items())
