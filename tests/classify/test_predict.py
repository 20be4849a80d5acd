"""Prediction from image files, with class names, by every way of naming a model."""

import csv
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import gmconv_zoo
from gmconv_zoo.classify.predict import predict
from gmconv_zoo.images.listing import find_images
from gmconv_zoo.saving.label_names import label_names
from gmconv_zoo.saving.named import naming_load_errors

NAMES = ["cat", "dog", "fish", "bird"]


class ByBrightness(torch.nn.Module):
    """A classifier whose answer is known: class 0 for a dark image, class 3 for a bright one."""

    num_classes = 4

    def __init__(self, in_chans: int = 3) -> None:
        super().__init__()
        self.pretrained_cfg = {
            "input_size": (in_chans, 8, 8), "num_classes": 4, "label_names": NAMES, "crop_pct": 1.0,
            "mean": (0.0,) * in_chans, "std": (1.0,) * in_chans, "interpolation": "bilinear",
        }  # fmt: skip
        self.batches = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(x))
        level = x.mean((1, 2, 3), keepdim=False).unsqueeze(1) * 3
        return -((level - torch.arange(4.0)) ** 2) * 10


@pytest.fixture
def photos(tmp_path):
    """Four grey images whose brightness is that of the classes, in two folders, and a text file between them."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for index in range(4):
        path = folder / ("deep" if index == 3 else ".") / f"{index}.png"
        Image.fromarray(np.full((20, 30, 3), 85 * index, np.uint8)).save(path)
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = timm.create_model("sgmconv_cifar_resnet20", num_classes=4)
    return gmconv_zoo.save(model, tmp_path / "saved", label_names=NAMES)


@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_each_image_gets_its_own_class_whatever_the_batch_size(photos, batch_size):
    model = ByBrightness()
    found = list(predict(model, find_images([photos]), topk=2, batch_size=batch_size))
    assert [prediction.classes[0].label for prediction in found] == NAMES
    assert max(model.batches) == min(batch_size, 4)
    for prediction in found:
        first, second = prediction.classes
        assert 1 >= first.probability > second.probability >= 0


def test_unreadable_images_are_named_and_do_not_shift_the_others(photos, saved, gmconv):
    (photos / "1.png").write_bytes(b"not an image")
    found = list(predict(ByBrightness(), find_images([photos]), batch_size=2))
    assert [prediction.classes[0].label for prediction in found if prediction.classes] == ["cat", "fish", "bird"]
    assert [(one.image.name, one.error) for one in found if one.error] == [("1.png", "not an image")]
    status, printed, _ = gmconv("predict", saved, photos)
    assert (status, "1.png  unreadable: not an image" in printed) == (1, True)


def test_probabilities_are_the_softmax_of_the_networks_output(photos, saved):
    model = gmconv_zoo.load(saved)
    data = timm.data.resolve_model_data_config(model)
    image = timm.data.create_transform(**data, is_training=False)(Image.open(photos / "2.png").convert("RGB"))
    expected = model(image.unsqueeze(0)).softmax(1)[0]
    (found,) = predict(model, [photos / "2.png"], topk=4)
    for score in found.classes:
        assert score.probability == pytest.approx(expected[score.index].item(), rel=1e-5)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"topk": 0}, r"topk=0: .*\(--top\)"),
        ({"batch_size": 0}, "batch_size=0: pass at"),
        ({"images": "photo.png"}, "pass a list of image files"),
        ({"images": Path("photo.png")}, "pass a list of image files"),
        ({"images": np.zeros((2, 8, 8, 3))}, "pass a list of image files"),
        ({"images": [np.zeros((8, 8, 3))]}, "an image is a ndarray: pass a path, an open file or a Pillow image"),
        ({"model": {"num_classes": 1}}, r"has one output \(num_classes=1\)"),
        ({"model": {"in_chans": 5}}, r"takes images with 5 channels \(in_chans\), but images are read with 1"),
    ],
    ids=str,
)
def test_what_cannot_be_classified_is_refused(photos, changed, said):
    options = {"images": [photos / "2.png"], **changed}
    model = timm.create_model("sgmconv_cifar_resnet20", **options.pop("model", {}))
    with pytest.raises(ValueError, match=said):
        list(predict(model, **options))


@pytest.mark.parametrize("channels", [1, 4])
def test_network_of_other_channels_predicts_as_after_saving_and_loading(photos, tmp_path, channels):
    torch.manual_seed(0)
    model = timm.create_model("sgmconv_cifar_resnet20", num_classes=4, in_chans=channels)
    before = list(predict(model, find_images([photos])))
    assert list(predict(gmconv_zoo.load(gmconv_zoo.save(model, tmp_path / "saved")), find_images([photos]))) == before


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_images_have_the_dtype_of_the_network(photos, saved, dtype):
    exact, rounded = (list(predict(gmconv_zoo.load(saved).to(kind), [photos / "2.png"])) for kind in (None, dtype))
    for one, other in zip(exact[0].classes, rounded[0].classes, strict=True):
        assert other.probability == pytest.approx(one.probability, abs=0.02)


def test_outputs_that_are_not_finite_are_an_error_that_names_the_image(photos, saved):
    model = gmconv_zoo.load(saved)
    model.get_classifier().bias.data[1] = float("nan")
    with pytest.raises(ValueError, match=r"2\.png: the network's outputs are not finite\. Check its weights\."):
        list(predict(model, [photos / "2.png"]))


def test_classes_have_the_names_of_the_configuration_or_imagenets_or_numbers():
    with torch.device("meta"):
        names = label_names(timm.create_model("gmconv_resnet18"))
    assert (names[0], names[207]) == ("tench, Tinca tinca", "golden retriever")
    assert label_names(timm.create_model("sgmconv_cifar_resnet20", num_classes=3)) == ["0", "1", "2"]
    fewer = timm.create_model("gmconv_cifar_resnet20.gm_cifar10", pretrained=True, num_classes=3)
    assert label_names(fewer) == ["0", "1", "2"]  # not the ten that the weights came with
    model = ByBrightness()
    model.pretrained_cfg |= {"label_names": {"0": "n0", "1": "n1", "2": "n2", "3": "n3"}}  # as timm writes them
    model.pretrained_cfg |= {"label_descriptions": {"n2": "salmon"}}
    assert label_names(model) == ["n0", "n1", "salmon", "n3"]


def test_names_of_a_saved_network_survive_loading_and_saving(saved, tmp_path):
    model = gmconv_zoo.load(saved)
    assert label_names(model) == NAMES
    again = gmconv_zoo.save(model, tmp_path / "again")
    assert label_names(gmconv_zoo.load(again)) == NAMES
    assert label_names(timm.create_model(f"local-dir:{again}", pretrained=True)) == NAMES


def test_command_prints_a_table_and_writes_both_files(photos, saved, tmp_path, gmconv):
    out = tmp_path / "out"
    args = (saved, photos, "--top", "2", "--csv", f"{out}.csv", "--json", f"{out}.json")
    status, printed, _ = gmconv("predict", *args)
    lines = printed.splitlines()
    assert status == 0
    assert len(lines) == 8
    with open(f"{out}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    objects = json.loads(Path(f"{out}.json").read_text())
    for i, row in enumerate(rows):
        score = objects[i // 2]["classes"][i % 2]
        assert (row["image"], int(row["rank"])) == (objects[i // 2]["image"], i % 2 + 1)
        assert (int(row["index"]), row["label"]) == (score["index"], NAMES[score["index"]])
        assert float(row["probability"]) == score["probability"]
        assert lines[i].endswith(f"{100 * score['probability']:6.2f} %  {row['label']}")


def test_an_image_or_the_other_output_is_not_written_over_and_an_unknown_model_is_named(photos, saved, gmconv):
    image = photos / "1.png"
    before = image.read_bytes()
    for option in ("--csv", "--json"):
        refused = gmconv("predict", saved, photos, option, image, "--overwrite")[0]
        assert f"{option} {image} is one of the inputs" in refused
    assert image.read_bytes() == before
    outputs = ("--csv", "out.txt", "--json", Path("out.txt").resolve())
    assert "--csv and --json both name" in gmconv("predict", "gmconv_resnet1", photos, *outputs)[0]
    for name in ("gmconv_resnet1", "./run", "../run", "runs/a--b"):
        refused = gmconv("predict", name, photos)[0]
        assert f"{name!r} is not a folder, a model that timm knows, or a Hub repository" in refused


def test_files_are_written_before_the_table_is_printed_and_a_full_disk_does_not_lose_it(
    photos, saved, tmp_path, gmconv, monkeypatch
):
    class Closed:
        encoding = "utf-8"

        def write(self, text):
            raise OSError("closed")

    status, printed, _ = gmconv("predict", saved, photos, "--csv", "/dev/full")
    assert "No space left" in status
    assert len(printed.splitlines()) == 4 * 4
    monkeypatch.setattr(sys, "stdout", Closed())
    out = tmp_path / "new" / "out"
    assert "closed" in gmconv("predict", saved, photos, "--csv", f"{out}.csv", "--json", f"{out}.json")[0]
    assert len(json.loads(Path(f"{out}.json").read_text())) == 4
    assert len(Path(f"{out}.csv").read_text().splitlines()) == 4 * 4 + 1


def test_any_name_is_printed_and_written(tmp_path, gmconv, monkeypatch):
    names = [os.fsdecode(b"caf\xe9.png"), "two\nlines.png", "\u5bff.png"]
    for name in names:
        Image.fromarray(np.full((20, 30, 3), 85, np.uint8)).save(tmp_path / name)
    model = timm.create_model("sgmconv_cifar_resnet20", num_classes=2)
    gmconv_zoo.save(model, tmp_path / "saved", label_names=["na\nme\u00e9"] * 2)
    printed, out = io.BytesIO(), tmp_path / "out"
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding="ascii", write_through=True))
    files = ("--csv", f"{out}.csv", "--json", f"{out}.json")
    assert gmconv("predict", tmp_path / "saved", *(tmp_path / name for name in names), *files, "--top", "1")[0] == 0
    lines = printed.getvalue().decode("ascii").splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        f"{tmp_path}/{name}" for name in ("caf\\udce9.png", "two\\nlines.png", "\\u5bff.png")
    ]
    assert all(line.endswith("na\\nme\\xe9") for line in lines)
    assert [row["image"] for row in json.loads(Path(f"{out}.json").read_text())] == [f"{tmp_path}/{n}" for n in names]
    with open(f"{out}.csv", newline="", encoding="utf-8") as file:
        assert [Path(row["image"]).name for row in csv.DictReader(file)] == ["caf\\udce9.png", *names[1:]]


def test_an_error_that_is_not_about_weights_is_left_as_it_is():
    with pytest.raises(RuntimeError, match=r"^out of memory\nwhile computing$"), naming_load_errors("net"):
        raise RuntimeError("out of memory\nwhile computing")


def test_images_are_prepared_in_the_networks_test_size(photos):
    net, seen = ByBrightness(), []
    net.pretrained_cfg |= {"test_input_size": (3, 12, 10)}
    net.register_forward_pre_hook(lambda _net, inputs: seen.append(tuple(inputs[0].shape[1:])))
    list(predict(net, find_images([photos])))
    assert set(seen) == {(3, 12, 10)}
