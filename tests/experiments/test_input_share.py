"""What reading images costs is measured, and the documented table is the recorded one."""

import json
from pathlib import Path

import pytest

from gmconv_zoo.experiments.input_share import InputSettings, input_table, make_images, measure_input
from gmconv_zoo.markdown import with_block

ROOT = Path(__file__).parents[2]
SMALL = InputSettings(net="sgmconv_cifar_resnet20", images=16, size=(60, 50), batch_size=8, rounds=2)


def test_all_three_kinds_are_trained_on_and_compared(tmp_path):
    said = []
    record = json.loads(json.dumps(measure_input(tmp_path, SMALL, say=said.append)))
    prepared, memory, files = record["rows"]
    assert [row["kind"] for row in record["rows"]] == [line.partition(", ")[2].partition(":")[0] for line in said[:3]]
    assert len(said) == 6
    assert (prepared["ratio"], prepared["loader_ms"]) == (1, None)
    assert 0 < memory["loader_ms"] < files["loader_ms"]
    assert all(0 <= row["waited"] < 1 for row in record["rows"])
    table = input_table(record)
    assert "sgmconv_cifar_resnet20 at 32 x 32, batches of 8" in table
    assert f"{100 * files['waited']:.1f} % |" in table


def test_images_are_the_same_every_time_and_of_the_size_asked_for(tmp_path):
    sizes = [make_images(tmp_path / name, SMALL) for name in ("one", "two")]
    assert sizes[0] == sizes[1] > 0
    one, two = (sorted((tmp_path / name).rglob("*.jpg")) for name in ("one", "two"))
    assert len(one) == 20
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"net": "none"}, "timm knows no such network"), ({"rounds": 0}, "at least 1"), ({"batch_size": 17}, "no batch")],
)
def test_settings_that_measure_nothing_are_refused(tmp_path, changes, said):
    with pytest.raises(ValueError, match=said):
        measure_input(tmp_path, InputSettings(**{"net": SMALL.net, "images": 16, "batch_size": 8, **changes}))
    assert not list(tmp_path.iterdir())


def test_documented_table_is_the_recorded_one():
    page = ROOT / "docs" / "training.md"
    record = json.loads((ROOT / "results" / "input.json").read_text())
    assert with_block(page, "input", input_table(record)) == page.read_text(), (
        "run python scripts/input_share.py --tables"
    )
