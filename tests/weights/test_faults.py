"""Every fault ends in a model whose tensors were checked, or in one clear error with nothing bad kept."""

import re
from pathlib import Path

import pytest

from tests.weights.fault_table import can_fill_a_disk, render, run_faults
from tests.weights.faults import CASES, LOADS, tensors

PAGE = Path(__file__).parents[2] / "docs" / "loading-errors.md"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return run_faults(tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.slug)
def test_fault_is_met_or_explained(results, case):
    if case.slug not in results:
        pytest.skip("this machine lets no test mount a small disk")
    result = results[case.slug]
    assert not result["partial"]
    if case.expect == LOADS:
        assert result["message"] == ""
        assert result["bias"] == tensors(case)["fc.bias"].tolist()
        return
    assert result["kind"] == "WeightsError"
    assert re.search(case.expect, result["message"])
    assert result["message"].startswith(f"gmconv_cifar_resnet20.{case.slug}")
    assert result["cached"] is case.kept, "what is damaged must not stay in the cache"


@pytest.mark.parametrize("slug", ["busy-warm", "drop-warm", "dead-warm"])
def test_falling_back_on_the_cache_is_announced(results, slug):
    (warning,) = results[slug]["warnings"]
    assert "Using the cached file" in warning


def test_messages_keep_to_one_line(results):
    assert not [slug for slug, result in results.items() if "\n" in result["message"] + "".join(result["warnings"])]


@pytest.mark.skipif(not can_fill_a_disk(), reason="this machine lets no test mount a small disk")
def test_page_of_errors_is_up_to_date(results):
    assert PAGE.read_text() == render(results), "run: python -m tests.weights.fault_table > docs/loading-errors.md"
