"""The same faults with the oldest huggingface_hub that is declared to work, installed into a folder of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.client import client_env, run_client
from tests.weights.fault_table import run_faults
from tests.weights.faults import CASES, LOADS

OLDEST = "1.0.1"
NOT_RETRIED = ("busy-once", "resume")  # newer releases try again by themselves
ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.network]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Variables that put the older release before the installed one."""
    folder = tmp_path_factory.mktemp("older")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), f"huggingface-hub=={OLDEST}"]
    subprocess.run(command, check=True)
    environment = {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    code = "import huggingface_hub\nreport(version=huggingface_hub.__version__)"
    found = run_client(code, {**client_env(folder), **environment}).result["version"]
    assert found == OLDEST
    return environment


def test_faults_are_met_or_explained(environment, tmp_path):
    results = run_faults(tmp_path, environment=environment)
    for case in CASES:
        if case.slug not in results:
            continue
        result, message = results[case.slug], results[case.slug]["message"]
        loads = case.expect == LOADS and case.slug not in NOT_RETRIED
        expect = "Try again|then try again" if case.slug in NOT_RETRIED else case.expect
        assert message == "" if loads else re.search(expect, message), (case.slug, message)
        assert result["cached"] is (loads or case.kept), case.slug
