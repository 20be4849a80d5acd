"""Collects the outcome of every consumer's tests for the page; every test here needs the extra "compat"."""

from pathlib import Path

import pytest

from .page import write_cells

HERE = Path(__file__).parent
_found: dict[tuple[str, str], str] = {}


def pytest_addoption(parser):
    parser.addoption("--write-compatibility", metavar="FILE", help="the page to write the table of outcomes into")


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.compat)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report, mark = outcome.get_result(), item.get_closest_marker("consumer")
    # a test that is skipped before it begins, for want of a checkout, says nothing about the consumer
    if mark is None or (report.when != "call" and not report.failed):
        return
    cell = "pass" if report.passed else "FAILED"
    if report.skipped:
        said = getattr(report, "wasxfail", None) or report.longrepr[2].removeprefix("Skipped: ")
        cell = said.removeprefix("reason: ")
    _found[mark.args[0], item.callspec.params["name"]] = cell


def pytest_sessionfinish(session):
    page = session.config.getoption("--write-compatibility", default=None)  # unknown to a run from elsewhere
    if page and _found:
        write_cells(Path(page), _found)
