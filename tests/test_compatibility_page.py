"""docs/compatibility.md holds the rows and columns that `make test-compat` writes, all measured."""

from .compat.models import MODELS
from .compat.page import PAGE, consumers, read_cells, write_cells


def test_the_page_has_every_consumer_and_model_measured():
    cells = read_cells(PAGE.read_text(encoding="utf-8"))
    assert list(cells) == [(title, name) for title in consumers() for name in MODELS], "run make test-compat"
    assert len(set(consumers())) == len(consumers())
    assert set(cells.values()) == {"pass", "no BatchNorm in this network"}, "run make test-compat with TIMM_SCRIPTS"


def test_a_run_replaces_the_cells_it_ran_and_no_other(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    before, key = read_cells(page.read_text(encoding="utf-8")), (consumers()[0], MODELS[0])
    write_cells(page, {key: "a reason"})
    after = read_cells(page.read_text(encoding="utf-8"))
    assert after == {**before, key: "a reason"}
