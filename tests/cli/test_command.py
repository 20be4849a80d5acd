"""What all commands in scripts/ have in common."""

import argparse
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gmconv_zoo.classify.messages import interruptible
from gmconv_zoo.cli.command import run

SCRIPTS = sorted((Path(__file__).parents[2] / "scripts").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_help_shows_every_default(script, monkeypatch, capsys):
    added = []
    plain = argparse._ActionsContainer.add_argument

    def add(self, *names, **settings):
        added.append((names, settings))
        return plain(self, *names, **settings)

    monkeypatch.setattr(argparse._ActionsContainer, "add_argument", add)
    monkeypatch.setattr(sys, "argv", [script.name, "--help"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(script), run_name="__main__")
    shown = capsys.readouterr().out
    assert f"python scripts/{script.name}" in shown
    groups = "default: what" in shown  # of options that have theirs in the group's description
    for names, settings in added:
        takes_a_value = names[0].startswith("--") and settings.get("action") is None and not settings.get("required")
        if takes_a_value and not (groups and settings.get("default", argparse.SUPPRESS) is argparse.SUPPRESS):
            assert "default: " in (settings.get("help") or ""), names


def test_missing_extra_is_one_line_in_every_command():
    code = (
        "import runpy, sys\n"
        "sys.modules.update(dict.fromkeys(['accelerate', 'matplotlib', 'sklearn']))\n"
        "for script in sys.argv[1:]:\n"
        "    sys.argv = [script, '--help']\n"
        "    try: runpy.run_path(script, run_name='__main__')\n"
        "    except SystemExit as end: print(script, end.code or 'help', file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *SCRIPTS], capture_output=True, text=True)
    lines = done.stderr.splitlines()
    assert len(lines) == len(SCRIPTS)
    missing = r'(accelerate|matplotlib|sklearn)\S* is not installed: run pip install "gmconv_zoo\[\w+\]'
    for script, line in zip(SCRIPTS, lines, strict=True):
        assert line == f"{script} help" or re.match(f"{script} {script.name}: {missing}", line), line
    assert sum(line.endswith(" help") for line in lines) < len(lines) - 5


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        (True, "interrupted. {path} is saved: start again with resume (--resume) to go on from it."),
        (False, "interrupted. No checkpoint has been saved: start again."),
    ],
)
def test_interrupt_is_one_line_that_says_what_is_saved(tmp_path, monkeypatch, capsys, saved, said):
    path = tmp_path / "checkpoints" / "last.safetensors"
    if saved:
        path.parent.mkdir()
        path.touch()

    def main():
        with interruptible(tmp_path):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(sys, "argv", ["scripts/train.py"])
    with pytest.raises(SystemExit) as end:
        run(main)
    assert end.value.code == 130
    assert capsys.readouterr().err == f"\ntrain.py: {said.format(path=path)}\n"


def test_any_name_is_printed():
    code = "from gmconv_zoo.cli.command import run; run(lambda: print('th\\udce9', '猫'))"
    env = {"PYTHONIOENCODING": "latin-1", "PYTHONPATH": str(SCRIPTS[0].parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=env)
    assert (done.returncode, done.stdout) == (0, b"th\\udce9 \\u732b\n")
