"""The README's snippets run, and what it names exists.

Snippets that pull weights run without them here; `tests/weights` pulls every one from a loopback server.
"""

import re
from pathlib import Path

import pytest

from gmconv_zoo.cli import COMMANDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^## (.+?)$|^```python\n(.+?)^```", README, flags=re.MULTILINE | re.DOTALL)


def snippets() -> list[tuple[str, str]]:
    titled, title = [], ""
    for heading, code in SNIPPETS:
        title = heading or title
        if code:
            titled.append((title, code))
    return titled


@pytest.mark.parametrize(("title", "code"), snippets(), ids=lambda value: value if len(value) < 60 else "")
def test_snippet_runs(title, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = code.replace("pretrained=True", "pretrained=False")
    code = code.replace('"OWNER/gmconv_zoo"', repr(str(ROOT))).replace("trust_repo=True", "source='local'")
    exec(compile(code, f"README: {title}", "exec"), {"__name__": "readme"})


def test_every_snippet_with_a_model_imports_the_package():
    for title, code in snippets():
        assert "import gmconv_zoo" in code or "torch.hub.load" in code, title


def test_every_linked_file_exists():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_command_named_exists():
    paths = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"))
    pages = "".join(path.read_text(encoding="utf-8") for path in paths)
    assert set(re.findall(r"^gmconv ([\w-]+)", pages, re.MULTILINE)) <= set(COMMANDS)
    for script in re.findall(r"\b(scripts/\w+\.py)", pages):
        assert (ROOT / script).exists(), script
    for module in re.findall(r"python -m (reproduce[\w.]*)", pages):
        place = ROOT.joinpath(*module.split("."))
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), module
