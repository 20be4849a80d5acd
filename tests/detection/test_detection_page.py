"""The snippets of docs/detect.md run."""

import re
from pathlib import Path

import pytest
import timm
import torch

from .detectors import weights_of

PAGE = (Path(__file__).parents[2] / "docs" / "detect.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", re.findall(r"^```python\n(.+?)^```", PAGE, re.M | re.S), ids=lambda code: "")
def test_snippet_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **options: create(name, **{**options, "pretrained": False}))
    for name in re.findall(r'"(\S+\.pth)"', code)[:1]:
        torch.save(weights_of("faster_rcnn", "resnet50", 91), name)
    if "240, 320" in code:  # images of this size are enlarged to 800 pixels, which takes long
        code = code.replace("240, 320", "24, 32").replace("[20.0, 30.0, 120.0, 200.0]", "[2.0, 3.0, 12.0, 20.0]")
        code = code.replace("frozen_stages=-1,", "frozen_stages=-1, min_size=64,")
    exec(compile(code, "detect.md", "exec"), {"__name__": "detection"})
