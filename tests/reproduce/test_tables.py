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


def test_command_writes_between_the_markers_and_the_cards_and_checks(tmp_path, monkeypatch, capsys):
    page, (begin, end) = tmp_path / "page.md", markers("some")
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    monkeypatch.setattr(reproduce.tables, "_parts", lambda: [(page, "some", with_block(page, "some", "new"))])
    cards = tmp_path / "cards"
    cards.mkdir()
    monkeypatch.setattr(reproduce.tables, "CARDS", cards)
    monkeypatch.setattr(reproduce.tables, "_cards", lambda: {cards / f"{name}.md": name for name in "ab"})
    (cards / "a.md").write_text("edited by hand")
    (cards / "stranger.md").write_text("")

    def status(*options: str) -> int:
        with pytest.raises(SystemExit) as ended:
            run("tables", "", reproduce.tables._add_options, reproduce.tables._main, options)
        return ended.value.code

    assert status("--check") == 1
    assert [line.rpartition("/")[2] for line in capsys.readouterr().out.splitlines()] == [
        "page.md: the part 'some' differs",
        *(f"{name}.md is missing or differs from its spec" for name in "ab"),
        "stranger.md belongs to no spec",
        "run: python -m reproduce.tables",
    ]
    (cards / "stranger.md").unlink()
    assert status() == 0
    assert page.read_text() == f"before\n{begin}\nnew\n{end}\nafter\n"
    assert [(cards / f"{name}.md").read_text() for name in "ab"] == ["a", "b"]
    assert status("--check") == 0
    with pytest.raises(ValueError, match="other:begin"):
        with_block(page, "other", "")


def test_diagram_is_small_enough_for_the_readme(tmp_path):
    path = draw_diagram(tmp_path / "masks.png")
    assert 10_000 < path.stat().st_size < 150_000
