"""The forms a network is deployed in: an exported program, ONNX Runtime, int8."""

import pytest
import timm
import torch

import gmconv_zoo
from gmconv_zoo.export.export import export

from ..cifar import CORRECT, load_cifar10, needs_cifar10, prepared, public_resnet20
from ..conversion.networks import awake
from .models import consumer, images, model, side

NAMES = sorted(timm.list_models(["gmconv_*", "sgmconv_*", "stdconv_*"]))


@consumer("torch.export, dynamic batch")
def test_one_exported_program_serves_every_batch(name, tmp_path):
    export(model(name), tmp_path / "net.pt2", format="exported", image_size=(side(name),) * 2)


@consumer("int8 (torchao PT2E), fused")
@torch.no_grad()
def test_int8_stays_near_the_network(name):
    pytest.importorskip("torchao")
    from gmconv_zoo.export.quantize import quantize_int8

    net, x = model(name), images(name, 8)
    quantized, expected = quantize_int8(net, [x]), net(x[:5])
    found = quantized(x[:5])
    assert any("quantize_per_channel" in str(node.target) for node in quantized.graph.nodes)
    assert (found - expected).abs().max() <= 0.1 * expected.abs().max()


@pytest.mark.consumer("ONNX Runtime, dynamic batch")
@pytest.mark.parametrize("name", NAMES)  # the table shows those of its models
def test_onnx_of_every_registered_model_agrees_within_1e4_at_batch_1_2_5(name, tmp_path):
    pytest.importorskip("onnxruntime")
    net = awake(name)
    size = (80, 80) if "alexnet" in name else (32, 32) if "cifar" in name else (64, 64)
    written = export(net, tmp_path / "net.onnx", image_size=size)
    print(f"{name}: largest difference {written.difference:.2g}")
    assert written.difference <= 1e-4


def test_one_onnx_file_serves_every_image_size(tmp_path):
    pytest.importorskip("onnxruntime")
    net = model("gmconv_resnet18")
    export(net, tmp_path / "net.onnx", image_size=(64, 64), dynamic_size=True)


@pytest.mark.parametrize(
    ("name", "twin"), [("sgmconv_resnet18", "resnet18"), ("sgmconv_mobilenetv2", "mobilenetv2_100")]
)
def test_a_fused_onnx_graph_has_as_many_nodes_as_the_plain_networks(name, twin, tmp_path):
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    counts = []
    for net in (name, twin):
        export(timm.create_model(net), tmp_path / f"{net}.onnx", image_size=(64, 64))
        counts.append(len(onnx.load(tmp_path / f"{net}.onnx").graph.node))
    print(f"{name}: {counts[0]} nodes, {twin}: {counts[1]}")
    assert counts[0] == counts[1]


def test_an_operator_set_is_written_as_asked_or_refused_without_noise(tmp_path, capfd):
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    net = timm.create_model("gmconv_cifar_resnet20")
    path = tmp_path / "net.onnx"
    for opset in (18, 21):
        export(net, path, opset=opset)
        assert [entry.version for entry in onnx.load(path).opset_import if not entry.domain] == [opset]
    before = path.read_bytes()
    for opset in (7, 17, 99):
        with pytest.raises(ValueError, match=rf"opset={opset} \(--opset\): .* operator set 18; pass 18"):
            export(net, path, opset=opset)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]
    assert "Traceback" not in "".join(capfd.readouterr())


def test_onnx_metadata_holds_labels_and_preprocessing(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    net = timm.create_model("gmconv_cifar_resnet20", num_classes=2)
    net.pretrained_cfg["label_names"] = ["cat", "dog"]
    export(net, tmp_path / "net.onnx")
    held = runtime.InferenceSession(str(tmp_path / "net.onnx")).get_modelmeta().custom_metadata_map
    assert held["labels"] == '["cat", "dog"]'
    assert held["mean"] == "[0.4914, 0.4822, 0.4465]"
    assert held["model"] == "gmconv_cifar_resnet20"


@needs_cifar10
@pytest.mark.timeout(1800)
@torch.inference_mode()
def test_int8_of_a_fused_network_loses_no_more_on_cifar10_than_of_the_plain_one():
    pytest.importorskip("torchao")
    from gmconv_zoo.export.quantize import quantize_int8

    plain = public_resnet20()
    train = load_cifar10("train")[0][:256]
    pixels, labels = load_cifar10("test")

    def correct(net: torch.nn.Module) -> int:
        return sum(
            int((net(prepared(batch)).argmax(1) == truth).sum())
            for batch, truth in zip(pixels.split(500), labels.split(500), strict=True)
        )

    calibration = [prepared(batch) for batch in train.split(64)]
    static = gmconv_zoo.convert(plain, stem="static", sigma_init=1.0)
    lost = {}
    for kind, net in (("plain", plain), ("fused", static)):
        with torch.inference_mode(False):
            quantized = quantize_int8(net, [batch.clone() for batch in calibration])
        lost[kind] = CORRECT - correct(quantized)
    print(f"int8 on CIFAR-10, of {CORRECT} correct: plain loses {lost['plain']}, fused loses {lost['fused']}")
    assert lost["fused"] <= lost["plain"] + 30
