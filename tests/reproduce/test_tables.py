"""Generated tables and cards are current, and are written where they belong."""

import pytest
import timm

import reproduce.tables
from gmconv_zoo.cli.command import run
from reproduce.diagram import draw_diagram
from reproduce.markdown import markers, with_block
from reproduce.tables import models_table, outdated


def test_tables_and_cards_in_the_repository_are_current():
    assert outdated() == []


def test_table_lists_every_registered_model():
    rows = models_table().splitlines()[2:]
    assert {row.split("`")[1] for row in rows} == set(timm.list_models(["gmconv_*", "sgmconv_*", "stdconv_*"]))
    (row,) = (row for row in rows if "`gmconv_resnet50`" in row)
    assert "| 25,557,082 | 4.09 | 224 x 224 | `from_tv_in1k`, `from_a1_in1k`, `from_tv2_in1k` |" in row


def test_command_writes_between_the_markers_and_checks(tmp_path, monkeypatch, capsys):
    page, (begin, end) = tmp_path / "page.md", markers("some")
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    monkeypatch.setattr(reproduce.tables, "_parts", lambda: [(page, "some", with_block(page, "some", "new"))])
    monkeypatch.setattr(reproduce.tables, "CARDS", tmp_path / "cards")
    monkeypatch.setattr(reproduce.tables, "check_cards", lambda _: [])
    monkeypatch.setattr(reproduce.tables, "write_cards", lambda _: [])

    def status(*options: str) -> int:
        with pytest.raises(SystemExit) as ended:
            run("tables", "", reproduce.tables._add_options, reproduce.tables._main, options)
        return ended.value.code

    assert status("--check") == 1
    assert "page.md: the part 'some' differs" in capsys.readouterr().out
    assert status() == 0
    assert page.read_text() == f"before\n{begin}\nnew\n{end}\nafter\n"
    assert status("--check") == 0


def test_page_without_markers_is_refused(tmp_path):
    (tmp_path / "README.md").write_text("nothing")
    with pytest.raises(ValueError, match="models:begin"):
        with_block(tmp_path / "README.md", "models", "")


def test_diagram_is_small_enough_for_the_readme(tmp_path):
    path = draw_diagram(tmp_path / "masks.png")
    assert 10_000 < path.stat().st_size < 150_000
