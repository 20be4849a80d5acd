"""What all commands have in common."""

import argparse
import importlib
import json
import logging
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

import gmconv_zoo
from gmconv_zoo import cli
from gmconv_zoo._version import __version__
from gmconv_zoo.cli import COMMANDS
from gmconv_zoo.cli.command import run
from gmconv_zoo.cli.recipe_options import interruptible, training
from gmconv_zoo.files.records import read_rows

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_every_default(command, monkeypatch, gmconv):
    added = []
    plain = argparse._ActionsContainer.add_argument

    def add(self, *names, **settings):
        added.append((names, settings))
        return plain(self, *names, **settings)

    monkeypatch.setattr(argparse._ActionsContainer, "add_argument", add)
    shown = gmconv(command, "--help")[1]
    assert shown.startswith(f"usage: gmconv {command} ")
    assert f"\n    gmconv {command}" in shown
    groups = "default: what" in shown  # of options that have theirs in the group's description
    for names, settings in added:
        takes_a_value = names[0].startswith("--") and settings.get("action") is None and not settings.get("required")
        if takes_a_value and not (groups and settings.get("default", argparse.SUPPRESS) is argparse.SUPPRESS):
            assert "default: " in (settings.get("help") or ""), names


def test_an_option_has_the_same_choices_in_every_command():
    choices = {}
    for command in COMMANDS:
        parser = argparse.ArgumentParser()
        importlib.import_module(f"gmconv_zoo.cli.{command.replace('-', '_')}").add_options(parser)
        for action in parser._actions:
            if action.choices:
                assert choices.setdefault(action.dest, tuple(action.choices)) == tuple(action.choices), command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "gmconv: the following arguments are required: COMMAND. gmconv --help shows"),
        (("finetun",), "gmconv: argument COMMAND: invalid choice: 'finetun'"),
        (("finetune", "photos", "--epochs", "ten"), "gmconv finetune: argument --epochs: invalid int value: 'ten'. gm"),
    ],
)
def test_a_wrong_option_is_answered_with_one_line(arguments, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gmconv", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 2
    assert line.startswith(said)
    assert line.endswith("--help shows what is allowed.")


def test_help_and_version_name_every_command_and_need_no_extra():
    code = (
        "import json, runpy, sys\n"
        "sys.modules.update(dict.fromkeys(['accelerate', 'matplotlib', 'sklearn', 'onnx']))\n"
        "ends = []\n"
        "for arguments in json.loads(sys.argv[1]):\n"
        "    sys.argv = ['gmconv', *arguments]\n"
        "    try: runpy.run_module('gmconv_zoo', run_name='__main__')\n"
        "    except SystemExit as end: ends.append(end.code)\n"
        "print(json.dumps(ends))\n"
    )
    helps = [["--version"], ["--help"], *([command, "--help"] for command in COMMANDS)]
    asked = json.dumps([*helps, ["finetune", "photos"], ["nothing"]])
    done = subprocess.run([sys.executable, "-c", code, asked], capture_output=True, text=True, cwd=ROOT)
    *shown, ends = done.stdout.splitlines()
    assert json.loads(ends)[: len(helps)] == [0] * len(helps)
    missing, unknown = json.loads(ends)[len(helps) :]
    assert missing.startswith("gmconv finetune: accelerate is not installed: run pip install")
    assert unknown == 2
    assert shown[0] == f"gmconv_zoo {__version__}"
    assert all(f"  {command:14}{what}" in shown for command, what in COMMANDS.items())
    for path in (ROOT / "scripts").glob("*.py"):  # which torchrun starts
        command = path.stem.replace("_", "-")
        assert command in COMMANDS
        assert f'main("{command}")' in path.read_text()


@pytest.mark.parametrize("name", [name for name, (_, function) in gmconv_zoo._LAZY.items() if function])
def test_short_names_are_the_functions_that_commands_call(name):
    module, function = gmconv_zoo._LAZY[name]
    found = importlib.import_module(module, "gmconv_zoo")
    assert getattr(gmconv_zoo, name) is (getattr(found, function) if function else found)
    assert name in dir(gmconv_zoo)


@pytest.mark.parametrize(
    "call",
    [
        gmconv_zoo.convert,
        gmconv_zoo.fuse,
        gmconv_zoo.sigmas,
        lambda name: gmconv_zoo.dynamic_masks(name, torch.zeros(1, 3, 8, 8)),
        lambda name: gmconv_zoo.save(name, "output"),
        lambda name: gmconv_zoo.explain(name, "photo.jpg"),
        lambda name: list(gmconv_zoo.predict(name, ["photo.jpg"])),
        lambda name: gmconv_zoo.export_model(name, "net.onnx"),
    ],
)
def test_a_name_in_place_of_a_network_is_refused_with_what_builds_one(call):
    with pytest.raises(TypeError, match=r"model='resnet18': pass a network; timm\.create_model builds one from a name"):
        call("resnet18")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: gmconv_zoo.report(torch.nn.Identity()), r"model=Identity\(\.\.\.\): pass its name, or the folder"),
        (
            lambda: gmconv_zoo.validate("resnet18", "photos"),
            "pass a list of models, and the source that .*open_eval_data",
        ),
        (
            lambda: gmconv_zoo.finetune("photos", epochs=3),
            "epochs is not an option of training: .*overrides={'epochs': 3}",
        ),
        (lambda: gmconv_zoo.finetune("photos", epoch=3), "epoch is not an option .*: pass some of accelerator, "),
        (lambda: gmconv_zoo.finetune("photos", freeze="fc"), r"freeze='fc' is a string: pass a list, freeze=\['fc'\]"),
    ],
)
def test_arguments_of_another_kind_are_refused_with_the_right_one(call, said):
    with pytest.raises(TypeError, match=said):
        call()


def test_models_are_listed_with_their_weights_and_the_origin_of_their_accuracy(gmconv):
    lines = gmconv("models", "*cifar_resnet20*")[1].splitlines()
    assert [line.split()[0] for line in lines] == [
        "model",
        *(f"{name}_cifar_resnet20.{tag}" for name, tag in (
            ("gmconv", "gm_cifar10"), ("sgmconv", "gm_cifar10"), ("stdconv", "cifar10")
        )),
    ]  # fmt: skip
    assert lines[1].split()[1:4] == ["269,774", "0.0406", "32"]
    (row,) = json.loads(gmconv("models", "gmconv_cifar_resnet20.gm_cifar10", "--json")[1])
    assert (row["cached"], row["top1"], row["dataset"]) == (True, pytest.approx(88.48), "CIFAR-10 test")
    assert "gmconv validate" in row["origin"]
    assert json.loads(gmconv("models", "gmconv_cifar_resnet56", "--json")[1])[0]["tag"] == ""
    assert gmconv("models", "gmconv_cifar_resnet56")[1].split()[-5] == "0.125"  # rounded once, as in the README
    assert gmconv("models", "resnet99")[0].startswith("gmconv models: no network matches 'resnet99'")


def test_a_reader_that_ends_early_gets_no_error():
    models = f"{sys.executable} -m gmconv_zoo models '*cifar_resnet20' | true"
    done = subprocess.run(models, shell=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stderr == ""


def test_a_file_of_weights_takes_the_place_of_a_tag_s(tmp_path, gmconv):
    torch.manual_seed(0)
    plain = timm.create_model("resnet18", num_classes=1000).eval()
    save_file(plain.state_dict(), tmp_path / "own.safetensors")
    Image.new("RGB", (40, 40), (200, 30, 60)).save(tmp_path / "image.png")

    def predicted(name, weights):
        return gmconv("predict", name, "--weights", weights, tmp_path / "image.png", "--top", "1")[:2]

    own = tmp_path / "own.safetensors"
    names = ("resnet18", "sgmconv_resnet18", "gmconv_resnet18.from_tv_in1k")
    (share,) = {(status, out.split("%")[0]) for status, out in (predicted(name, own) for name in names)}
    assert share[0] == 0
    for name, weights, said in (
        ("resnet34", own, r"^gmconv predict: resnet34: .* Pass the weights of this network \(--weights\)\.$"),
        ("gmconv_resnet50", own, "the checkpoint does not fit the model"),
        ("gmconv_resnet18", tmp_path / "none.pth", r"weights='.*none\.pth' is not a file"),
        ("resnet18", tmp_path / "image.png", r"image\.png' is damaged or not a state dict"),
        ("ORG/NAME", own, "ORG/NAME has weights of its own"),
    ):
        assert re.search(said, predicted(name, weights)[0])


def test_draw_writes_the_pictures_of_a_saved_network(tmp_path, gmconv):
    model = gmconv_zoo.convert(timm.create_model("stdconv_cifar_resnet20"))
    folder, drawings = gmconv_zoo.save(model, tmp_path / "net"), tmp_path / "drawings"
    Image.new("RGB", (40, 40)).save(tmp_path / "image.png")
    drawing = ["draw", folder, "--output", drawings]
    assert re.match("gmconv draw: .*images", gmconv(*drawing)[0])
    drawing += ["--images", tmp_path / "image.png"]
    printed = gmconv(*drawing)[1].split()
    assert str(drawings / "masks.png") in printed
    assert all(Path(path).stat().st_size > 5_000 for path in printed if path.endswith(".png"))
    twin = ["--overwrite", "--twin", "stdconv_cifar_resnet20.cifar10", "--layer"]
    assert gmconv(*drawing, *twin, "1")[0] == 0
    numbers = (drawings / "receptive_field.csv").read_text()
    assert "stdconv_cifar_resnet20.cifar10,layer1," in numbers
    missing = gmconv(*drawing, *twin, "nowhere")[0]
    assert "layer='nowhere': CifarResNet has no such layer. Pass the name of a module" in missing


def test_explain_draws_every_image_and_says_its_class(tmp_path, gmconv, monkeypatch):
    for name, shade in (("a.png", 40), ("b\n.jpg", 200)):
        Image.new("RGB", (40, 30), (shade, 90, 20)).save(tmp_path / name)
    command = ["explain", "gmconv_cifar_resnet20.gm_cifar10", tmp_path / "a.png", tmp_path / "b\n.jpg"]
    command += ["--output", tmp_path / "out", "--dataset-images", tmp_path / "*.*"]
    lines = gmconv(*command)[1].splitlines()
    assert [line.split(": ")[0] for line in lines] == [str(tmp_path / "a.png"), str(tmp_path / r"b\n.jpg")]
    assert all((tmp_path / "out" / name).stat().st_size > 5_000 for name in ("001-a.png", "002-b\n.png"))
    tables = [read_rows(tmp_path / "out" / name) for name in ("001-a.csv", "002-b\n.csv")]
    spreads = [[row for row in rows if row["quantity"].startswith("standard deviation over")] for rows in tables]
    assert spreads[0]
    assert spreads[0] == spreads[1]
    assert "001-a.png exists: choose another one, or pass overwrite" in gmconv(*command)[0]
    seen = []
    monkeypatch.setattr("gmconv_zoo.visualize.explain.explain", lambda *_, **options: seen.append(options))
    with pytest.raises(AttributeError):
        gmconv(*command, "--overwrite", "--top", "2")
    assert (seen[0]["topk"], len(seen[0]["images"])) == (2, 2)


def test_report_prints_the_page_that_it_writes(tmp_path, gmconv):
    page = tmp_path / "report.html"
    assert gmconv("report", "stdconv_cifar_resnet20.cifar10", "--output", page) == (0, f"{page}\n", "")
    assert page.read_text().startswith("<!doctype html>")


def test_options_of_a_training_reach_it(tmp_path, monkeypatch, gmconv, forget_accelerator):
    weights, seen = tmp_path / "own.safetensors", []
    save_file({"weight": torch.zeros(1)}, weights)
    monkeypatch.setattr("gmconv_zoo.classify.train.finetune", lambda data, model, **options: seen.append(options))
    device = ("--accumulate", "2", "--precision", "bf16", "--compile")
    start = ("--weights", weights, "--model-options", "drop_rate=0.1")
    assert gmconv("finetune", "photos", "--model", "resnet18", *start, *device, "--seed", "3")[0] == 0
    ((options, accelerator),) = [(found, found["accelerator"]) for found in seen]
    assert (accelerator.gradient_accumulation_steps, accelerator.mixed_precision) == (2, "bf16")
    assert accelerator.state.dynamo_plugin.backend == "INDUCTOR"
    assert (options["seed"], options["pretrained"]) == (3, True)
    own = {"pretrained": True, "pretrained_cfg_overlay": {"file": str(weights)}}
    assert options["model_options"] == {"drop_rate": 0.1, **own}
    gmconv("finetune", "photos", "--no-pretrained", *device)
    assert seen[1]["pretrained"] is False


def test_training_does_not_print_what_timm_logs_about_checkpoints(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    parser = argparse.ArgumentParser()
    importlib.import_module("gmconv_zoo.cli.finetune").add_options(parser)
    with training(parser.parse_args(["photos", "--output", str(tmp_path)])):
        assert not logging.getLogger("timm.models").isEnabledFor(logging.INFO)
        assert logging.getLogger("gmconv_zoo").isEnabledFor(logging.INFO)


def test_a_lack_of_memory_is_one_line_that_says_what_to_change():
    def full(_args):
        raise MemoryError("1 TB")

    with pytest.raises(SystemExit, match=r"^gmconv train: there is not enough memory \(1 TB\)\. Pass .*--batch-size"):
        run("gmconv train", "", lambda parser: None, full, [])


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        (True, "interrupted. {path} is saved: pass --resume to continue from it."),
        (False, "interrupted. No checkpoint has been saved: start again."),
    ],
)
def test_interrupt_is_one_line_that_says_what_is_saved(tmp_path, capsys, saved, said):
    path = tmp_path / "checkpoints" / "last.safetensors"
    if saved:
        path.parent.mkdir()
        path.touch()

    def interrupted(_args):
        with interruptible(tmp_path):
            signal.raise_signal(signal.SIGINT)

    # a process that was started in the background of a shell ignores the signal unless it is told not to
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(SystemExit) as end:
            run("gmconv train", "", lambda parser: None, interrupted, [])
    finally:
        signal.signal(signal.SIGINT, before)
    for processes, message in ((1, "^closed$"), (2, rf"^closed\nIf another process .* {said[13:].format(path=path)}")):
        with pytest.raises(RuntimeError, match=message), interruptible(tmp_path, processes):
            raise RuntimeError("closed")
    assert end.value.code == 130
    assert capsys.readouterr().err == f"\ngmconv train: {said.format(path=path)}\n"
