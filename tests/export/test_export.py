"""Exported files compute what the network does, carry its labels and preprocessing, and refusals say what to do."""

import json

import pytest
import timm
import torch
from torch import nn

import gmconv_zoo
from gmconv_zoo.export import export as export_module
from gmconv_zoo.export.export import export, read_exported, read_torchscript
from gmconv_zoo.export.prepare import METADATA_FILE, example_images, metadata_of, prepare

from ..conversion.networks import awake, wake

SIZE = (32, 32)
NET = "gmconv_cifar_resnet20"


def small() -> nn.Module:
    """A dynamic stem and a static layer, small enough to export in a moment."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 5, 2, 2), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return wake(gmconv_zoo.convert(nn.Sequential(*layers)))


@pytest.mark.parametrize("dynamic_size", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_exported_program_computes_what_the_network_does(dynamic_size, tmp_path):
    net = small()
    net[0].form = "loop"  # which does not reach the file
    path, size = tmp_path / "net.pt2", 48 if dynamic_size else 32
    export(net, path, format="exported", image_size=SIZE, dynamic_size=dynamic_size)
    images = example_images((3, size, size), 7)
    with torch.no_grad():
        torch.testing.assert_close(read_exported(path)(images)[0], net(images), rtol=1e-4, atol=1e-4)
    assert net[0].form == "loop"
    if not dynamic_size:
        with pytest.raises((AssertionError, RuntimeError)):
            read_exported(path)(example_images((3, 48, 48), 2))


def test_a_torchscript_file_computes_what_the_network_does(tmp_path):
    net = small()
    written = export(net, tmp_path / "net.pt", format="torchscript", image_size=(48, 32))
    images = example_images((3, 40, 32), 3)
    with torch.no_grad():
        torch.testing.assert_close(read_torchscript(written.path)(images)[0], net(images), rtol=1e-4, atol=1e-4)
    extra = {METADATA_FILE: ""}
    torch.jit.load(written.path, _extra_files=extra)
    assert json.loads(extra[METADATA_FILE]) == written.described
    assert written.described["input_size"] == [3, 48, 32]
    assert written.described["masks"] == {"dynamic": 1, "static": 0}
    unfused = export(net, tmp_path / "net.pt", format="torchscript", image_size=SIZE, fuse=False)
    assert unfused.described["masks"] == {"dynamic": 1, "static": 1}


def test_the_metadata_say_how_images_are_prepared_and_what_the_outputs_mean():
    net = awake(NET, num_classes=3)
    net.pretrained_cfg["label_names"] = ["cat", "dog", "fox"]
    described = metadata_of(prepare(net), (3, 32, 32))
    assert described["labels"] == ["cat", "dog", "fox"]
    assert described["masks"] == {"dynamic": 1, "static": 0}
    for key in ("mean", "std", "interpolation", "crop_pct", "crop_mode", "license"):
        assert described[key] == json.loads(json.dumps(net.pretrained_cfg[key]))
    net.pretrained_cfg["test_input_size"] = (3, 64, 64)
    assert export_module._input_size(net, None) == (3, 32, 32)
    grey = metadata_of(prepare(awake(NET, in_chans=1)), (1, 32, 32))  # as timm saves and loads it
    assert grey["mean"] == [pytest.approx(sum(net.pretrained_cfg["mean"]) / 3)]
    assert len(grey["std"]) == 1
    assert metadata_of(prepare(awake("sgmconv_resnet18")), (3, 64, 64))["labels"][0].startswith("tench")
    assert "labels" not in metadata_of(awake(NET, features_only=True), (3, 32, 32))


def test_static_masks_are_folded_unless_asked_otherwise():
    net = awake("sgmconv_cifar_resnet20")
    assert set(prepare(net).state_dict()) == set(timm.create_model("stdconv_cifar_resnet20").state_dict())
    assert set(prepare(net, fuse=False).state_dict()) == set(net.state_dict())
    assert len(gmconv_zoo.sigmas(net))  # the network itself is left as it was


class OneConvolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)


class Maps(OneConvolution):
    """Several outputs, as a feature extractor has."""

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [self.conv(x), x]


def test_feature_maps_are_exported_too(tmp_path):
    export(Maps(), tmp_path / "maps.pt2", format="exported", image_size=SIZE)
    maps = read_exported(tmp_path / "maps.pt2")(example_images((3, *SIZE), 2))
    assert [tuple(m.shape) for m in maps] == [(2, 4, 30, 30), (2, 3, 32, 32)]


class Branching(OneConvolution):
    """Its graph depends on the pixels, which no exporter can express."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x) if float(x.mean()) > 0 else x


class Wrong(OneConvolution):
    """Computes something else when it is exported."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x) * (1.01 if torch.compiler.is_exporting() else 1.0)


@pytest.mark.parametrize(
    ("net", "options", "message"),
    [
        (lambda: awake(NET), {"format": "tflite"}, r"format='tflite': pass one of \('onnx'"),
        (lambda: awake(NET), {"format": "exported", "opset": 18}, "opset=18 belongs to ONNX"),
        (lambda: awake(NET).bfloat16(), {}, r"bfloat16 tensors: export model.float\(\)"),
        (lambda: torch.compile(awake(NET)), {}, "pass the network inside it"),
        (lambda: timm.create_model("gmconv_cifar_resnet20", device="meta"), {}, "meta device"),
        (lambda: awake(NET), {"format": "onnx"}, r"net.pt2': .* format onnx ends in .onnx \(--output\)"),
        (lambda: awake(NET), {"image_size": (0, 4)}, r"image_size=\(0, 4\)"),
        (Branching, {}, r"names no input size: pass image_size"),
        (Branching, {"image_size": SIZE}, "cannot be exported as exported.*Try another of"),
        (Branching, {"image_size": SIZE, "dynamic_size": True}, "Try dynamic_size=False"),
    ],
)
def test_what_cannot_be_exported_is_refused_with_what_to_do(net, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export(net(), tmp_path / "net.pt2", **{"format": "exported", **options})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (lambda images: len(images) == 1, r"\(1, 3, 32, 32\)"),
        (lambda images: len(images) == 2, r"\(2, 3, 32, 32\)"),
        (lambda images: len(images) == 5, r"\(5, 3, 32, 32\)"),
        (lambda images: images.shape[2] != 32, r"\(1, 3, 64, 96\)"),
        (lambda images: images.shape[3] != 32 and len(images) == 5, r"\(5, 3, 64, 96\)"),
    ],
)
@pytest.mark.parametrize("error", [1e-2, float("nan")])
def test_every_batch_size_and_a_second_image_size_are_compared(tmp_path, monkeypatch, wrong, found, error):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).requires_grad_(False)

    def run(images: torch.Tensor) -> list[torch.Tensor]:
        return [net(images) + (error if wrong(images) else 0)]

    monkeypatch.setattr(export_module, "write_exported", lambda *_: None)
    monkeypatch.setattr(export_module, "read_exported", lambda _: run)
    with pytest.raises(RuntimeError, match=f"differs from the network by .* on images of {found}"):
        export(net, tmp_path / "net.pt2", format="exported", image_size=SIZE, dynamic_size=True)
    small = {1: 1e-5, 2: -5e-5, 5: 3e-5}  # the largest of these is told
    monkeypatch.setattr(export_module, "read_exported", lambda _: lambda images: [net(images) + small[len(images)]])
    written = export(net, tmp_path / "net.pt2", format="exported", image_size=SIZE)
    assert written.difference == pytest.approx(5e-5, rel=0.05)


def test_an_export_that_fails_keeps_the_earlier_file(tmp_path):
    path = tmp_path / "net.pt2"
    path.write_text("earlier")
    for net, error, said in ((Wrong(), RuntimeError, "differs from"), (Branching(), ValueError, "cannot be exported")):
        with pytest.raises(error, match=said):
            export(net, path, format="exported", image_size=SIZE)
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_the_command_exports_a_saved_folder(tmp_path, gmconv):
    gmconv_zoo.save(awake(NET, num_classes=3), tmp_path / "mine", label_names=["a", "b", "c"])
    options = ["--format", "torchscript", "--output", tmp_path / "mine.pt"]
    status, printed, _ = gmconv("export", tmp_path / "mine", *options)
    assert status == 0
    assert "largest difference from the network over batches of 1, 2, 5" in printed
    extra = {METADATA_FILE: ""}
    torch.jit.load(tmp_path / "mine.pt", _extra_files=extra)
    assert json.loads(extra[METADATA_FILE])["labels"] == ["a", "b", "c"]
