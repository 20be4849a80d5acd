"""The README's snippets run, and its tables are current.

Snippets that pull weights run without them here; `tests/weights` pulls every one from a loopback server.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gmconv_zoo.benchmark.tables import tables_are_current

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


def test_generated_tables_are_current():
    check = [sys.executable, ROOT / "scripts" / "make_tables.py", "--check"]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_benchmark_tables_are_the_recorded_run():
    record = ROOT / "results" / "benchmark" / "cpu_float32.json"
    pages = {"readme": ROOT / "README.md", "page": ROOT / "docs" / "performance.md"}
    assert tables_are_current(record, **pages), "run python scripts/benchmark.py --tables"


def test_every_linked_file_exists():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_script_named_exists():
    for script in re.findall(r"python (scripts/\w+\.py)", README):
        assert (ROOT / script).exists(), script
