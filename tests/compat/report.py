"""The table of consumers and models, made from what a test run found."""

from collections.abc import Mapping
from pathlib import Path

from gmconv_zoo.markdown import table, with_block

from .cases import MODELS

__all__ = ["BLOCK", "consumers_table", "write_report"]

BLOCK = "compatibility"
# Consumer -> model -> "pass", or why not
Outcomes = Mapping[str, Mapping[str, str]]


def consumers_table(outcomes: Outcomes) -> str:
    """Markdown, a row per consumer in the order given, a column per model; what was not tried is said."""
    rows = [(name, *(found.get(model, "not tried") for model in MODELS)) for name, found in outcomes.items()]
    return table(("consumer", *(f"`{model}`" for model in MODELS)), rows)


def write_report(path: Path, outcomes: Outcomes, versions: str) -> None:
    """Renew the table in a Markdown file.

    Args:
        path: with the markers of `BLOCK`.
        outcomes: consumer -> model -> outcome.
        versions: what it was tried with, one line.
    """
    content = f"{consumers_table(outcomes)}\n\nTried with {versions}."
    path.write_text(with_block(path, BLOCK, content), encoding="utf-8")
