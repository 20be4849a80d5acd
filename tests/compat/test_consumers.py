"""The snippets of docs/consumers.md, run with every model of the table in their place."""

import re
from pathlib import Path

import pytest

from .models import consumer

PAGE = (Path(__file__).parents[2] / "docs" / "consumers.md").read_text(encoding="utf-8")
# by heading: the first block of Python under it
_SECTIONS = [section.partition("\n") for section in PAGE.split("\n## ")[1:]]
SNIPPETS = {
    title: found[1] for title, _, body in _SECTIONS if (found := re.search(r"^```python\n(.+?)^```", body, re.M | re.S))
}
NAMED = "gmconv_resnet18"


def run_snippet(title: str, name: str, tmp_path, monkeypatch) -> None:
    """Execute the snippet under a heading with another model in it."""
    monkeypatch.chdir(tmp_path)
    code = SNIPPETS[title]
    assert NAMED in code
    exec(compile(code.replace(NAMED, name), f"consumers.md: {title}", "exec"), {"__name__": "consumers"})


@consumer("segmentation-models-pytorch encoder")
def test_segmentation_encoder(name, tmp_path, monkeypatch):
    pytest.importorskip("segmentation_models_pytorch")
    run_snippet("segmentation-models-pytorch: an encoder", name, tmp_path, monkeypatch)


@consumer("torchvision Faster R-CNN")
def test_faster_rcnn_trains_and_detects(name, tmp_path, monkeypatch):
    run_snippet("torchvision: Faster R-CNN on feature maps", name, tmp_path, monkeypatch)


@consumer("transformers AutoModel")
def test_automodel_opens_a_published_folder(name, tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    run_snippet("transformers: AutoModel and the image processor", name, tmp_path, monkeypatch)


@consumer("transformers TimmBackbone")
def test_timm_backbone_gives_maps(name, tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    run_snippet("transformers: TimmBackbone", name, tmp_path, monkeypatch)


@consumer("transformers Trainer")
def test_trainer_moves_the_masks(name, tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    run_snippet("transformers: Trainer", name, tmp_path, monkeypatch)


@consumer("torch flop counter")
def test_torch_counts_what_the_plain_network_costs(name, tmp_path, monkeypatch):
    run_snippet("Counting operations: torch", name, tmp_path, monkeypatch)


@consumer("fvcore")
def test_fvcore_counts_what_the_plain_network_costs(name, tmp_path, monkeypatch):
    pytest.importorskip("fvcore")
    run_snippet("Counting operations: fvcore", name, tmp_path, monkeypatch)


def test_every_snippet_has_a_row_of_its_own():
    assert len(SNIPPETS) == 7
