"""Every fault ends in a model whose tensors were checked, or in one clear error with nothing bad kept."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.client import client_env, run_client
from tests.weights.fault_table import can_fill_a_disk, render, run_faults
from tests.weights.faults import CASES, LOADS, tensors

ROOT = Path(__file__).parents[2]
OLDEST = "1.0.1"  # of the releases of huggingface_hub that are declared to work
NOT_RETRIED = ("busy-once", "resume")  # by that one; newer releases try again by themselves


@pytest.fixture(
    scope="module", params=["installed", pytest.param(OLDEST, marks=[pytest.mark.slow, pytest.mark.network])]
)
def release(request):
    return request.param


@pytest.fixture(scope="module")
def results(release, tmp_path_factory):
    """What comes of every fault with a release of huggingface_hub, the oldest one in a folder of its own."""
    folder = tmp_path_factory.mktemp("faults")
    if release == "installed":
        return run_faults(folder)
    older = folder / "older"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", older, f"huggingface-hub=={release}"]
    subprocess.run(pip, check=True)
    environment = {"PYTHONPATH": os.pathsep.join([str(older), str(ROOT)])}
    code = "import huggingface_hub\nreport(version=huggingface_hub.__version__)"
    assert run_client(code, {**client_env(folder), **environment}).result["version"] == release
    return run_faults(folder, environment=environment)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.slug)
def test_fault_is_met_or_explained(results, release, case):
    if case.slug not in results:
        pytest.skip("this machine lets no test mount a small disk")
    result = results[case.slug]
    assert release == OLDEST or not result["partial"]  # the oldest one keeps the parts of files for another attempt
    expect = "[Tt]ry again" if release == OLDEST and case.slug in NOT_RETRIED else case.expect
    if expect == LOADS:
        assert result["message"] == ""
        assert result["bias"] == tensors(case)["fc.bias"].tolist()
        return
    assert result["kind"] == "WeightsError"
    assert re.search(expect, result["message"])
    assert result["message"].startswith(f"gmconv_cifar_resnet20.{case.slug}")
    assert result["cached"] is case.kept, "what is damaged must not stay in the cache"


@pytest.mark.parametrize("slug", ["busy-warm", "drop-warm", "dead-warm"])
def test_falling_back_on_the_cache_is_announced(results, slug):
    (warning,) = results[slug]["warnings"]
    assert "Using the cached file" in warning


def test_messages_keep_to_one_line(results):
    assert not [slug for slug, result in results.items() if "\n" in result["message"] + "".join(result["warnings"])]


@pytest.mark.skipif(not can_fill_a_disk(), reason="this machine lets no test mount a small disk")
def test_page_of_errors_is_up_to_date(results, release):
    if release == OLDEST:
        pytest.skip("the page has the messages of newer releases")
    page = (ROOT / "docs" / "loading-errors.md").read_text()
    assert page == render(results), "run: python -m tests.weights.fault_table > docs/loading-errors.md"
