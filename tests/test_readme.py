"""The README's Python snippets run.

Snippets that pull weights run without them here; `tests/weights` pulls every one from a loopback server.
"""

import re
from pathlib import Path

import pytest

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
