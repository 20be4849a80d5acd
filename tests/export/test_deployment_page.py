"""The snippets of docs/deployment.md run, and the options it names exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", re.findall(r"^```python\n(.+?)^```", PAGE, re.M | re.S), ids=lambda code: "")
def test_snippet_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "deployment.md", "exec"), {"__name__": "deployment"})


def test_every_option_named_is_one_of_the_command():
    command = (ROOT / "gmconv_zoo" / "cli" / "export.py").read_text(encoding="utf-8")
    assert set(re.findall(r"--[a-z][\w-]+", PAGE)) <= set(re.findall(r"--[a-z][\w-]+", command))
