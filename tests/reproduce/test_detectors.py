"""Detectors are timed beside the standard one."""

import pytest

from reproduce.benchmark.detectors import TORCHVISION, detector_rows, detector_table


@pytest.mark.slow
def test_every_detector_is_timed_beside_the_standard_one():
    rows = detector_rows(64, seconds=0, rounds=1)
    assert [row["detector"] for row in rows][-2:] == ["faster_std again", TORCHVISION]
    assert rows[0]["ratio"] == 1
    assert all(row["milliseconds"] > 0 and row["side"] == 64 for row in rows)


def test_the_table_names_detectors_speeds_and_the_machine():
    row = {"detector": "faster_std", "side": 64, "milliseconds": 1234.4, "rounds": 3}
    row |= {"ratio": 0.98765, "ratio_quartiles": [0.9, 1.0]}
    record = {"environment": {"processor": "a processor", "torch": "2"}, "busy": True, "rows": [row]}
    text = detector_table(record)
    assert "| `faster_std` | 64 | 1,234 | 0.988 | 0.900 to 1.000 | 3 |" in text
    assert text.endswith("a processor, float32, one image, processor time of one thread, torch 2.")
