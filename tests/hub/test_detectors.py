"""Detectors are published with their card and their measured precision, and loaded back from the Hub."""

import json

import pytest
import torch
from huggingface_hub import ModelCard, snapshot_download
from PIL import Image

import gmconv_zoo
from gmconv_zoo.classify.networks import build_network, open_together
from gmconv_zoo.detection import build
from gmconv_zoo.hub import detectors
from gmconv_zoo.hub.measured import choose_measured
from gmconv_zoo.hub.publish import publish
from gmconv_zoo.hub.stage import stage
from gmconv_zoo.saving.detectors import holds_detector
from gmconv_zoo.saving.named import open_model
from tests.detection.detectors import SMALL, finding

REPO = "gmconv/boxes.v1"
MASKS = {"stem": "dynamic", "body": "static", "stages": (1,)}
SCORE = {"AP": 0.4125, "AP50": 0.62, "AP75": 0.44, "APs": 0.1, "APm": 0.5, "APl": None, "images": 4}
RECORD = {
    "start": "resnet18.a1_in1k",
    "dataset": "/home/me/shapes",
    "sources": ["/home/me/shapes"],
    "score": {**SCORE, "per_class": {"circle": 0.5, "square": None}},
    "stem": {"mask_spread": 0.001, "live": [1.0, 0.5], "images": 3},
}
IMAGES = [torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(0))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the training of a detector leaves."""
    detector = finding(**MASKS, **SMALL, categories={"circle": 1, "square": 2})
    torch.nn.init.constant_(detector.backbone.body.layer1[0].conv1.sigma, 3.0)
    path = gmconv_zoo.save(detector, tmp_path_factory.mktemp("run"))
    (path / "results.json").write_text(json.dumps(RECORD))
    return path


def test_a_card_says_what_a_detector_is_and_what_was_measured(folder, tmp_path):
    staged = stage(folder, tmp_path / "out", repo_id=REPO, measured=choose_measured(folder))
    card = ModelCard.load(staged.folder / "README.md")
    assert {path.name for path in staged.files} == {"README.md", "config.json", "model.safetensors", "results.json"}
    lines = card.text.splitlines()
    assert "# hf-hub:gmconv/boxes.v1: Faster R-CNN on test_resnet" in lines
    assert "with Gaussian masks that were trained. Source of the weights: trained from resnet18.a1_in1k." in card.text
    assert "- GMConv: dynamic in the stem, static in stage 1" in lines
    assert "- Classes: circle, square" in lines
    assert "- Image size: shorter side 64 pixels, longer side at most 96" in lines
    assert "- Batch norms of the backbone: trained" in lines
    unnamed = detectors._details(finding(**SMALL, num_classes=4), staged.spec)
    assert (unnamed["Classes"], unnamed["GMConv"]) == ("3, whose names are not recorded", "none")
    assert "**This stem is nearly static**" in card.text
    assert "| 41.2 | 62.0 | 44.0 | 10.0 | 50.0 | - | " in lines
    assert "| circle | 50.0 |" in lines
    assert "- Measured: shapes, 4 images, results.json." in lines
    assert "/home/me" not in card.text + (staged.folder / "results.json").read_text()
    assert (card.data.license, card.data.base_model) == ("apache-2.0", "timm/resnet18.a1_in1k")
    assert [result.metric_value for result in card.data.eval_results] == [41.25, 62, 44, 10, 50]
    assert card.data.pipeline_tag == "object-detection"


def test_the_first_snippet_of_a_card_runs(folder, tmp_path, monkeypatch, capsys):
    staged = stage(folder, tmp_path / "out", repo_id=REPO, measured=None)
    text = (staged.folder / "README.md").read_text()
    assert "was not measured" in text
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda repo: {REPO: staged.folder}[repo])
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (60, 40), (250, 10, 10)).save("image.jpg")
    exec(text.partition("```python\n")[2].partition("```")[0], {})
    assert "%  square  [" in capsys.readouterr().out


def test_a_published_detector_is_opened_by_its_name_and_trained_further(folder, tmp_path, loopback, monkeypatch):
    spec = publish(stage(folder, tmp_path / "out", repo_id=REPO, measured=None), tag="v1")
    assert loopback.store.repos[REPO]["tags"] == {"v1": spec.revision}
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    assert holds_detector(f"{REPO}@v1")
    own, opened = gmconv_zoo.load(folder), open_model(f"hf-hub:{REPO}")
    with torch.no_grad():
        (expected,), (found,) = own(IMAGES), opened(IMAGES)
    assert len(found["boxes"])
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert gmconv_zoo.load(snapshot_download(REPO)).state_dict().keys() == own.state_dict().keys()
    for weights in (f"hf-hub:{REPO}@v1", folder):
        further = build(backbone="test_resnet", weights=weights, batch_norm="train", frozen_stages=-1, **MASKS)
        assert all(torch.equal(value, own.state_dict()[key]) for key, value in further.state_dict().items())
    with pytest.raises(RuntimeError, match="weights=hf-hub:gmconv/none could not be loaded from the Hub"):
        build(backbone="test_resnet", weights="hf-hub:gmconv/none", batch_norm="train", frozen_stages=-1)


def test_what_does_not_belong_to_a_detector_is_refused(folder, tmp_path):
    (bare := tmp_path / "bare").mkdir()
    for name in ("config.json", "model.safetensors"):
        (bare / name).symlink_to(folder / name)
    with pytest.raises(ValueError, match="holds a detector: leave out --top1"):
        choose_measured(folder, top1=90.0)
    with pytest.raises(
        ValueError, match=r"records no average precision .* gmconv detect-eval MODEL DATA --output writes"
    ):
        choose_measured(bare)
    assert choose_measured(bare, absent=True) is None
    out = {"out": tmp_path / "out", "repo_id": REPO}
    with pytest.raises(ValueError, match="which a detector is not: leave it out"):
        stage(folder, **out, measured=None, fused=True)
    with pytest.raises(ValueError, match=r"licence of the weights is not known.*\(--licence\), one of apache-2.0"):
        stage(bare, **out, measured=None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["predict", "explain", "export", "validate", "finetune"])
def test_what_takes_a_classifier_names_the_commands_of_a_detector(folder, tmp_path, command):
    model = gmconv_zoo.load(folder)
    calls = {
        "predict": lambda: list(gmconv_zoo.predict(model, [])),
        "explain": lambda: gmconv_zoo.explain(model, IMAGES[0].unsqueeze(0)),
        "export": lambda: gmconv_zoo.export_model(model, tmp_path / "net.onnx"),
        "validate": lambda: open_together(str(folder)),
        "finetune": lambda: build_network(str(folder), 3),
    }
    with pytest.raises(ValueError, match="is a detector, not a classifier: gmconv detect finds objects with it"):
        calls[command]()
