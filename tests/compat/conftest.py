"""Every compat test is a cell of the table: its consumer marker the row, its model the column.

With COMPATIBILITY_TABLE=docs/compatibility.md in the environment, a run renews the table in that file.
"""

import importlib.metadata
import os
import platform
from pathlib import Path

import pytest

from .cases import MODELS
from .report import write_report

_PACKAGES = ("torch", "torchvision", "timm", "onnx", "onnxruntime", "torchao", "transformers", "fvcore")
_PACKAGES += ("segmentation-models-pytorch", "accelerate")
_OUTCOMES = pytest.StashKey[dict[str, dict[str, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_OUTCOMES] = {}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = (yield).get_result()
    marker = item.get_closest_marker("consumer")
    model = getattr(item, "callspec", None) and item.callspec.params.get("model")
    if marker is None or model not in MODELS or (report.when != "call" and report.passed):
        return
    cells = item.config.stash[_OUTCOMES].setdefault(marker.args[0], {})
    if report.skipped:
        outcome = f"skipped: {report.longrepr[2].removeprefix('Skipped: ')}"
    else:
        outcome = "pass" if report.passed else "fails"
    if cells.get(model, "pass") == "pass":  # several tests of one consumer: the worst counts
        cells[model] = outcome


def pytest_sessionfinish(session: pytest.Session) -> None:
    path, outcomes = os.environ.get("COMPATIBILITY_TABLE"), session.config.stash[_OUTCOMES]
    if path and outcomes:
        versions = [f"Python {platform.python_version()}"]
        for package in _PACKAGES:
            try:
                versions.append(f"{package} {importlib.metadata.version(package).partition('+')[0]}")
            except importlib.metadata.PackageNotFoundError:
                continue
        write_report(Path(path), outcomes, ", ".join(versions))
