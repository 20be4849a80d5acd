"""The snippets of docs/look-inside.md run, and the figures that it lists are those that are drawn."""

import re
from pathlib import Path

import pytest

from gmconv_zoo.visualize import draw_model

PAGE = (Path(__file__).parents[2] / "docs" / "look-inside.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", re.findall(r"^```python\n(.+?)^```", PAGE, re.M | re.S), ids=lambda code: "")
def test_snippet_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "look-inside.md", "exec"), {"__name__": "look_inside"})


def test_every_figure_is_listed():
    assert re.findall(r"^\| `(\w+)\.png`", PAGE, re.M) == [*draw_model.MASK_FIGURES, "receptive_field"]
