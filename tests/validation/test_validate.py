"""Exact counts whatever the batches, unreadable images, class order, and models that fail."""

import csv
import json
import shutil
import tarfile

import pytest
import timm
import torch

from gmconv_zoo.classify import networks
from gmconv_zoo.classify.evaluate import Answers, BadImagesError, Score
from gmconv_zoo.data.class_order import check_imagenet_classes
from gmconv_zoo.data.eval_data import open_eval_data
from gmconv_zoo.data.eval_images import EvalImages
from gmconv_zoo.validation import validate as validate_module
from gmconv_zoo.validation.run import run_validation
from gmconv_zoo.validation.settings import ValidationSettings
from gmconv_zoo.validation.validate import find_models
from tests.images.hugging_face import make_set
from tests.streams.shards import write_tar

from ..classify.tiny_model import TINY
from .linear import NAME, Hungry, fixture_linear, image_bytes

WNIDS = timm.data.ImageNetInfo().label_names()
# Some of ImageNet's classes, whose alphabetical place among themselves is not their output
CLASSES = (999, 17, 500)
EXPECTED = Score(count=13, top1=8, top5=11)


@pytest.fixture
def folder(tmp_path):
    """13 images in three folders named by WordNet id: 8 are right, 3 have their class second, 2 last."""
    kinds = ["right"] * 8 + ["second"] * 3 + ["last"] * 2
    for index, kind in enumerate(kinds):
        label = CLASSES[index % 3]
        path = tmp_path / "images" / WNIDS[label] / f"{index:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image_bytes(label, kind))
    return tmp_path / "images"


def settings(**changes) -> ValidationSettings:
    return ValidationSettings(**{"workers": 0, "batch_size": 4, **changes})


def validate(models, source, changed, **options):
    return run_validation(models, source, changed, cpu=True, **options).rows


@pytest.mark.parametrize(
    "changes",
    [
        *({"batch_size": size} for size in (1, 4, 13, 64)),
        *({"precision": "bf16"}, {"precision": "fp16"}, {"channels_last": True}, {"fuse": True}, {"workers": 2}),
    ],
    ids=str,
)
def test_batch_sizes_and_settings_keep_the_counts(folder, changes):
    (row,) = validate([NAME], open_eval_data(folder), settings(**changes))
    assert (row.error, row.score) == ("", EXPECTED)


def test_compiled_network_counts_the_same(folder, monkeypatch):
    compiled = []

    def compile_quickly(model):  # dynamo's own backend compiles nothing
        compiled.append(model)
        return torch._dynamo.optimize("eager")(model)

    monkeypatch.setattr(torch, "compile", compile_quickly)
    (row,) = validate([NAME], open_eval_data(folder), settings(compile=True))
    assert (row.error, row.score, len(compiled)) == ("", EXPECTED, 1)


@pytest.mark.parametrize(
    ("counted", "said"),
    [
        ([*range(13), 0, 1, 2], "0 images were not counted and 3 more than once"),
        (range(12), "1 images were not counted and 0 more"),
    ],
)
def test_repeated_and_lost_images_are_noticed(folder, counted, said):
    answers = Answers(EvalImages(open_eval_data(folder), None, shape=(3, 4, 4)))
    answers.update(answers.rows(torch.zeros(len(counted), 2), torch.tensor([[index, 0] for index in counted])))
    with pytest.raises(RuntimeError, match=said):
        answers.result()


def test_flat_folders_tar_files_and_torchvision_sets_count_the_same(folder, tmp_path):
    (tmp_path / "flat").mkdir()
    with tarfile.open(tmp_path / "images.tar", "w") as tar:
        tar.add(folder, "images")
    paths = sorted(folder.rglob("*.png"))
    for path in paths:
        shutil.copy(path, tmp_path / "flat")
    (tmp_path / "labels.txt").write_text("".join(f"{path.name} {path.parent.name}\n" for path in paths))
    for source in (
        open_eval_data(tmp_path / "flat", labels=tmp_path / "labels.txt"),
        open_eval_data(tmp_path / "images.tar"),
        open_eval_data("torch/image_folder", root=folder),
    ):
        (row,) = validate([NAME], source, settings())
        assert (row.error, row.score) == ("", EXPECTED)


def test_labels_that_are_shifted_by_one_or_beyond_the_outputs_are_noticed(tmp_path, caplog):
    (tmp_path / "flat").mkdir()
    for index in range(12):
        (tmp_path / "flat" / f"{index:02}.png").write_bytes(image_bytes(CLASSES[index % 3], "right"))
    found = []
    for shift in (0, -1, 1):
        labels = [f"{index:02}.png {CLASSES[index % 3] + shift}\n" for index in range(12)]
        (tmp_path / "labels.txt").write_text("".join(labels))
        source = open_eval_data(tmp_path / "flat", labels=tmp_path / "labels.txt")
        found += validate([NAME], source, settings())
        assert shift or not caplog.text
    assert f"{NAME}: 0 of 12 images are correct, which is not above chance (1 in 1000)" in caplog.text
    assert "label 1000: the network has outputs 0 to 999" in found[2].error
    (tmp_path / "names.txt").write_text("\n".join(reversed(WNIDS)))
    source = open_eval_data(tmp_path / "flat", labels=tmp_path / "labels.txt", classes=tmp_path / "names.txt")
    with pytest.raises(ValueError, match="not in ImageNet-1k's order"):
        check_imagenet_classes(source)


@pytest.mark.parametrize("workers", [0, 2])
def test_webdataset_shards_count_the_same_and_lost_images_are_noticed(folder, tmp_path, workers):
    def write(damaged: bytes | None) -> None:
        for shard in range(3):
            files = []
            for path in sorted(folder.rglob("*.png"))[shard::3]:
                data = damaged if damaged is not None and path.name == "04.png" else path.read_bytes()
                files += [(path.name, data), (f"{path.stem}.cls", str(WNIDS.index(path.parent.name)).encode())]
            write_tar(tmp_path / f"set-{shard}.tar", files)

    def validated(**changes):
        source = open_eval_data("wds/set", root=tmp_path, split="set-{0..2}.tar|13")
        return validate([NAME], source, settings(workers=workers, **changes))[0]

    write(None)
    assert (validated().error, validated().score) == ("", EXPECTED)
    (tmp_path / "turned.txt").write_text("\n".join([*WNIDS[1:], WNIDS[0]]))
    named = open_eval_data("wds/set", root=tmp_path, split="set-{0..2}.tar|13", classes=tmp_path / "turned.txt")
    assert validate([NAME], named, settings(workers=workers))[0].score.top1 < EXPECTED.top1
    with pytest.raises(ValueError, match="not in ImageNet-1k's order"):
        check_imagenet_classes(named)
    with pytest.raises(ValueError, match=r"names its classes, e\.g\. .*: leave classes out"):
        open_eval_data(folder, classes=tmp_path / "turned.txt")
    write(b"no image")
    with pytest.raises(BadImagesError, match=r"cannot be read: .*set-1\.tar, image 04 \(Unidentified.*--skip-bad"):
        validated()
    row = validated(skip_bad=True)
    assert (row.score.count, row.bad) == (12, 1)
    assert "image 04" in row.details["bad_images"][0]
    write(None)
    whole = (tmp_path / "set-2.tar").read_bytes()
    (tmp_path / "set-2.tar").write_bytes(whole[: len(whole) // 2 + 100])
    with pytest.raises(BadImagesError, match=r"cannot be read: .*set-2\.tar"):
        validated()
    write_tar(tmp_path / "set-2.tar", [])
    assert "9 images of 13 came; is a shard cut short?" in validated().error


def test_hugging_face_sets_and_streams_count_the_same_and_name_what_is_damaged(tmp_path, monkeypatch):
    net = timm.create_model(TINY).eval()
    monkeypatch.setattr(networks, "open_model", lambda name: net)

    def validated(kind, **changes):
        source = open_eval_data(f"{kind}/{tmp_path / 'made'}", root=tmp_path / "cache", split="test")
        return validate(["tiny"], source, settings(workers=2, batch_size=4, **changes))[0]

    make_set(tmp_path / "made", {"test": (13, 3)})
    rows = {kind: validated(kind) for kind in ("hfds", "hfids")}
    assert rows["hfds"].error == rows["hfids"].error == ""
    assert rows["hfds"].score == rows["hfids"].score
    assert rows["hfds"].score.count == 13
    make_set(tmp_path / "made", {"test": (13, 3)}, damaged=(6,))
    for kind, name in (("hfds", "image 6 of hfds|6.png"), ("hfids", "made, 6.png")):
        with pytest.raises(BadImagesError, match=rf"cannot be read: .*({name}) .*--skip-bad"):
            validated(kind)
        row = validated(kind, skip_bad=True)
        assert (row.score.count, row.bad, len(row.details["bad_images"])) == (12, 1, 1)


def test_unreadable_image_is_named_and_never_replaced(folder):
    cut_off, source = image_bytes(3)[:45], open_eval_data(folder)
    broken = sorted(folder.rglob("*.png"))[5]
    broken.write_bytes(cut_off)
    with pytest.raises(BadImagesError, match=rf"cannot be read: {broken} \(.+\)\. .*--skip-bad"):
        validate([NAME], source, settings())
    (row,) = validate([NAME], source, settings(skip_bad=True))
    assert (row.score.count, row.bad) == (12, 1)
    assert row.details["bad_images"][0].startswith(f"{broken} (")
    for path in folder.rglob("*.png"):
        path.write_bytes(cut_off)
    assert "no images were counted" in validate([NAME], source, settings(skip_bad=True))[0].error


@pytest.mark.parametrize("made", [True, False])
def test_accuracy_of_a_training_that_split_off_its_validation_set_is_called_into_question(
    folder, tmp_path, monkeypatch, caplog, made
):
    monkeypatch.setattr(networks, "open_model", lambda name: fixture_linear())
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "results.json").write_text(json.dumps({"split_made": made}))
    (row,) = validate([str(tmp_path)], open_eval_data(folder), settings())
    assert row.score == EXPECTED
    assert ("most of them were trained on and this accuracy is too high" in caplog.text) == made


def test_failing_model_keeps_its_row_and_the_others_go_on(folder, tmp_path, gmconv):
    args = ("--model", "gmconv_resnet1", NAME, "--workers", "0", "--output", tmp_path / "out", "--device", "cpu")
    status, out, _ = gmconv("validate", folder, *args)
    assert status == 1
    assert "gmconv_resnet1       failed: ValueError: 'gmconv_resnet1' is not a folder" in out
    assert "fixture_linear.bits  top-1 61.538 % (8/13)  top-5 84.615 % (11/13)" in out
    with open(tmp_path / "out" / "summary.csv", newline="") as file:
        failed, good = csv.DictReader(file)
    assert (failed["model"], failed["top1"], failed["error"][:10]) == ("gmconv_resnet1", "", "ValueError")
    assert (good["model"], good["count"], good["top1"], good["top5"], good["error"]) == (NAME, "13", "8", "11", "")
    assert good["torch"] == torch.__version__
    record = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [row["error"] != "" for row in record["results"]] == [True, False]
    assert record["environment"]["timm"] == timm.__version__


def test_model_that_fails_on_a_batch_keeps_its_row(folder, monkeypatch):
    class Failing(type(fixture_linear())):
        def forward(self, x):
            raise RuntimeError("this network is broken")

    nets = {"good": fixture_linear, "bad": Failing}
    monkeypatch.setattr(networks, "open_model", lambda name: nets[name]())
    bad, good = validate(["bad", "good"], open_eval_data(folder), settings())
    assert (bad.score, bad.error) == (None, "RuntimeError: this network is broken")
    assert good.score == EXPECTED


def test_retry_halves_the_batch_and_counts_from_the_start(folder, monkeypatch):
    monkeypatch.setattr(networks, "open_model", lambda name: Hungry(fixture_linear(), 3))
    source = open_eval_data(folder)
    (failed,) = validate(["x"], source, settings(batch_size=9))
    assert failed.error.startswith("MemoryError: a batch does not fit")
    (row,) = validate(["x"], source, settings(batch_size=9, retry=True))
    assert (row.score, row.details["batch_size"]) == (EXPECTED, 2)


def test_preprocessing_is_the_models_own_unless_it_is_overridden(folder, monkeypatch):
    model = fixture_linear()
    model.pretrained_cfg |= {"test_input_size": (3, 8, 8), "test_crop_pct": 0.9, "crop_pct": 0.8}
    done = []
    model.forward = lambda x: done.append(torch.is_autocast_enabled("cpu")) or torch.zeros(len(x), 1000)
    monkeypatch.setattr(validate_module, "fuse", lambda model: done.append("fused") or model)
    monkeypatch.setattr(networks, "open_model", lambda name: model)
    source = open_eval_data(folder)

    def used(**changes):
        (row,) = validate(["x"], source, settings(**changes))
        assert row.error == ""
        return row.details["input_size"], row.details["crop_pct"], row.details["interpolation"]

    assert used() == ("3x8x8", 0.9, "nearest")
    assert used(train_input_size=True) == ("3x4x4", 0.8, "nearest")
    assert used(image_size=6, crop_pct=1.0, interpolation="bicubic") == ("3x6x6", 1.0, "bicubic")
    assert set(done) == {False}
    used(precision="bf16", fuse=True)
    assert done[-5:] == ["fused", True, True, True, True]


def test_pattern_gives_its_models_and_a_file_is_itself(tmp_path):
    (tmp_path / "run[1].safetensors").touch()
    assert find_models(str(tmp_path / "run[1].safetensors")) == [str(tmp_path / "run[1].safetensors")]
    assert find_models("gmconv_resnet18.*") == ["gmconv_resnet18.from_a1_in1k", "gmconv_resnet18.from_tv_in1k"]
    with pytest.raises(ValueError, match="matches no pretrained model"):
        find_models("gmconv_resnet1*x")


def test_labels_that_are_held_back_are_named(tmp_path, monkeypatch):
    net = timm.create_model(TINY).eval()
    monkeypatch.setattr(networks, "open_model", lambda name: net)
    make_set(tmp_path / "made", {"test": (6, 1)}, label=lambda number: -1)
    for kind, workers in (("hfds", 1), ("hfids", 0)):
        source = open_eval_data(f"{kind}/{tmp_path / 'made'}", root=tmp_path / "cache", split="test")
        (row,) = validate(["tiny"], source, settings(workers=workers))
        said = "label -1: there are 3 classes. Is this a split whose labels are held back"
        assert row.error.startswith(f"ValueError: {said}")
        assert "--val-split" in row.error


def test_missing_data_and_an_output_inside_the_data_are_named(folder, tmp_path, gmconv):
    missing = gmconv("validate", tmp_path / "missing", "--model", NAME)[0]
    assert "the folder does not exist. Pass a folder, torch/NAME" in missing
    said, *_ = gmconv("validate", folder, "--model", NAME, "--output", folder / "out", "--device", "cpu")
    assert f"inside the data folder {folder}" in said
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("precision", "int8"), ("batch_size", 0), ("workers", -1), ("crop_pct", 1.5), ("image_size", 0)],
)
def test_settings_out_of_range_are_refused(name, wrong):
    with pytest.raises(ValueError, match=name):
        ValidationSettings(**{name: wrong})


def test_unwritable_output_is_found_before_evaluating(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(networks, "open_model", lambda name: pytest.fail("evaluated"))
    with pytest.raises(OSError, match="file"):
        validate([NAME], open_eval_data(folder), settings(), output=tmp_path / "file")
