import csv
import json
import os
from pathlib import Path

import pytest
import timm
import torch
from matplotlib.image import imread
from PIL import Image

import gmconv_zoo
from gmconv_zoo import convert
from gmconv_zoo.classify.networks import open_checkpoint, start_network
from gmconv_zoo.classify.recipes import FINETUNE
from gmconv_zoo.classify.train import finetune
from gmconv_zoo.files.records import read_rows
from gmconv_zoo.files.state_file import read_state
from gmconv_zoo.saving.label_names import label_names
from tests.images.image_folders import make_folder

NET = "sgmconv_cifar_resnet20"
ODD = (b"th\xe9", b"coin_$1_to_$5", '猫, "große"\n'.encode())


def run(data, output, model=NET, **options):
    overrides = {"epochs": 1, **options.pop("overrides", {})}
    return finetune(data, model, output=output, overrides=overrides, progress=False, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The whole way with the defaults, from a trained standard network that was converted; and what was said."""
    root, said = tmp_path_factory.mktemp("finetune"), []
    make_folder(root / "images", 200)
    net = timm.create_model("gmconv_cifar_resnet20")
    net.load_state_dict(convert(timm.create_model("stdconv_cifar_resnet20", pretrained=True)).state_dict())
    gmconv_zoo.save(net, root / "converted")
    finetune(root / "images", str(root / "converted"), output=root / "out", progress=False, say=said.append)
    return root, "\n".join(said)


def test_two_hundred_images_are_learned(finished):
    root, said = finished
    results = json.loads((root / "out" / "results.json").read_text())
    assert results["score"]["top1_percent"] > 80
    assert results["score"]["count"] == 39
    assert results["split_made"]
    assert results["epoch_selected_on_validation"]
    assert said.splitlines()[-1] == f'load: timm.create_model("local-dir:{root / "out"}", pretrained=True)'
    assert results["recipe"] == FINETUNE.override(batch_size=16, lr=results["recipe"]["lr"]).to_dict()
    assert read_rows(root / "out" / "summary.csv")[0]["step"] == "10"  # whole batches only
    assert "3 classes, 161 training images and 39 validation images (split made here)" in said
    (root / "usual").touch()  # every file follows the umask
    files = [path for path in (root / "out").rglob("*") if path.is_file()]
    assert {path.stat().st_mode for path in files} == {(root / "usual").stat().st_mode}


def test_saved_folder_reloads_with_the_same_logits(finished):
    out = finished[0] / "out"
    net = timm.create_model(f"local-dir:{out}", pretrained=True).eval()
    assert label_names(net) == ["cat", "dog", "owl"]
    twin = timm.create_model("gmconv_cifar_resnet20", num_classes=3).eval()
    twin.load_state_dict(read_state(out / "checkpoints" / "best.safetensors")["model"])
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(net(images), twin(images))


def test_tables_agree_with_the_score(finished):
    out = finished[0] / "out"
    score = json.loads((out / "results.json").read_text())["score"]
    with (out / "classes.csv").open() as file:
        rows = list(csv.DictReader(file))
    with (out / "confusion.csv").open() as file:
        matrix = [list(map(int, row[1:])) for row in list(csv.reader(file))[1:]]
    assert [row["class"] for row in rows] == ["cat", "dog", "owl"]
    assert sum(int(row["correct"]) for row in rows) == sum(matrix[i][i] for i in range(3)) == score["top1"]
    assert sum(int(row["train_images"]) for row in rows) == 161
    for name in ("curves.png", "confusion.png", "classes.png"):
        with Image.open(out / name) as picture:
            picture.verify()


def test_bad_images_are_named_and_skipped_only_when_asked(tmp_path):
    images = make_folder(tmp_path / "images", 24)
    content = (images / "cat" / "0.png").read_bytes()
    (images / "cat" / "0.png").write_bytes(content[: len(content) // 2])
    (images / "dog" / "1.png").write_text("no image")
    with pytest.raises(ValueError, match=r"images cannot be read: .*(0|1)\.png.*--skip-bad") as error:
        run(images, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for name, crop_scale, memory_gb in (("kept", 1.0, 2.0), ("read", 0.5, 2.0), ("many", 0.5, 0.0)):
        out, overrides = tmp_path / name, {"epochs": 1, "crop_scale": crop_scale}
        run(images, out, skip_bad=True, memory_gb=memory_gb, overrides=overrides)
        skipped = json.loads((out / "results.json").read_text())["skipped_images"]
        assert sorted(Path(text.split(" (")[0]).name for text in skipped) == ["0.png", "1.png"]
    assert "truncated" in str(error.value) or "not an image" in str(error.value)
    for path in (images / "owl").iterdir():
        path.write_text("")
    with pytest.raises(ValueError, match=r"the classes owl have no readable training image"):
        run(images, tmp_path / "out", skip_bad=True)


def test_earlier_run_is_not_overwritten_and_goes_on_when_asked(tmp_path):
    images = make_folder(tmp_path / "images", 24)
    first = run(images, tmp_path / "out")
    with pytest.raises(ValueError, match=r"from an earlier run\. Pass resume"):
        run(images, tmp_path / "out")
    with pytest.raises(ValueError, match="from another run: model"):
        run(images, tmp_path / "out", "gmconv_cifar_resnet20", resume=True)
    assert run(images, tmp_path / "out", resume=True).score == first.score
    with pytest.raises(ValueError, match=rf"inside the data folder .*e\.g\. {images}_output"):
        run(images, images / "out", resume=True)
    assert not (images / "out").exists()


def test_saved_folder_is_finetuned_to_other_classes(finished, tmp_path):
    images = make_folder(tmp_path / "images", 24, classes=("a", "b", "c", "d"))
    run(images, tmp_path / "out", str(finished[0] / "out"), freeze_backbone=True, overrides={"class_weights": True})
    net = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True)
    assert label_names(net) == ["a", "b", "c", "d"]
    before = timm.create_model(f"local-dir:{finished[0] / 'out'}", pretrained=True).state_dict()
    changed = {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"fc.weight", "fc.bias"}


def test_network_converted_by_hand_is_finetuned_and_what_can_be_done_with_it_is_said(tmp_path):
    images, said = make_folder(tmp_path / "images", 24), []
    gmconv_zoo.save(convert(timm.create_model("stdconv_cifar_resnet20", pretrained=True)), tmp_path / "converted")
    run(images, tmp_path / "out", str(tmp_path / "converted"), say=said.append)
    assert f"report: gmconv report {tmp_path / 'out'} --data DATA" in said[-1].splitlines()
    assert said[-1].splitlines()[-1] == f'load: gmconv_zoo.load("{tmp_path / "out"}")'
    assert label_names(gmconv_zoo.load(tmp_path / "out")) == ["cat", "dog", "owl"]


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A run on classes with names that are hard to write and to draw; its folder and what it said."""
    root, said = tmp_path_factory.mktemp("odd"), []
    for shade, name in enumerate(ODD):
        folder = os.path.join(os.fsencode(root), b"images", name)
        os.makedirs(folder)
        for index in range(20):
            Image.new("RGB", (32, 32), (200 * shade, index, 0)).save(os.path.join(folder, b"%d.png" % index))
    options = {"pretrained": False, "image_size": 12, "overrides": {"lr": 0.01}}
    run(root / "images", root / "out", NET, say=said.append, **options)
    return root / "out", "\n".join(said)


def test_any_class_name_is_written_and_drawn(odd):
    names = sorted(map(os.fsdecode, ODD))
    shown = [name.encode("utf-8", "backslashreplace").decode() for name in names]
    for table, column in (("classes.csv", 0), ("confusion.csv", 0)):
        with open(odd[0] / table, newline="", encoding="utf-8") as file:
            assert [row[column] for row in csv.reader(file)][1:] == shown
    for file in ("config.json", "results.json"):
        record = json.loads((odd[0] / file).read_text(encoding="utf-8"))
        assert record.get("label_names", record.get("classes")) == names
    for picture in ("confusion.png", "classes.png"):
        assert imread(odd[0] / picture).shape[1] > 300


def test_run_says_what_it_starts_with_and_what_comes_next(odd):
    out, said = odd
    recipe = "batch size 8, learning rate 0.01 (sgd, cosine, warm-up epochs 0.5), epochs 1"
    line = f"{NET}: image size 12x12, {recipe}, device cpu, precision"
    assert line in said
    assert f"pictures: {out}/classes.png, {out}/confusion.png, {out}/curves.png\n" in said
    for command in ("predict", "validate", "publish"):
        assert f": gmconv {command} " in said


def test_image_size_is_kept_for_prediction_and_for_checkpoints(odd):
    sizes = [json.loads((odd[0] / "config.json").read_text())["pretrained_cfg"]["input_size"]]
    sizes.append(list(open_checkpoint(odd[0] / "checkpoints" / "last.safetensors").pretrained_cfg["input_size"]))
    assert sizes == [[3, 12, 12]] * 2
    for size in (None, 96):
        config = start_network("gmconv_resnet18.from_a1_in1k", 3, pretrained=False, image_size=size).pretrained_cfg
        assert not {"test_input_size", "test_crop_pct"} & config.keys()


def test_the_seed_and_the_output_reach_the_opening_of_the_images(tmp_path, monkeypatch):
    opened = []

    def refuse(data, options, *, seed, output):
        opened.append((seed, output))
        raise OSError

    monkeypatch.setattr("gmconv_zoo.classify.train.open_data", refuse)
    with pytest.raises(OSError):
        run("images", tmp_path / "out", seed=3)
    assert opened == [(3, tmp_path / "out")]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "gmconv_alexnet", "image_size": 16, "pretrained": False}, "image_size=16 is too small"),
        ({"model": NET, "image_size": 0}, "image_size=0: pass at least 1 pixel"),
        ({"model": "ORG/NAME", "pretrained": False}, "is built as it was saved: leave out model_options"),
        (
            {"model": NET, "pretrained": False, "model_options": {"pretrained": True}},
            r"weights to start from \(--weights\) and pretrained=False \(--no-pretrained\) exclude each other",
        ),
        (
            {"model": "gmconv_resnet18.from_nowhere"},
            r"no tag 'from_nowhere': pass one of gmconv_resnet18\.from_a1",
        ),
        ({"model": "gmconv_resnet81"}, "Did you mean .*gmconv_resnet18"),
    ],
)
def test_start_that_cannot_be_had_is_refused_with_what_can(tmp_path, options, said):
    with pytest.raises(ValueError, match=said):
        run(make_folder(tmp_path / "images", 12), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
