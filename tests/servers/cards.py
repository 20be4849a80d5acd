"""The Hub's checks on a model card's metadata, as far as they bite a timm-style card."""

import re
from typing import Any

import yaml

__all__ = ["card_problems", "front_matter"]

LICENCES = {
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc-by-4.0", "cc-by-nc-4.0", "cc0-1.0"),
    *("gpl-3.0", "lgpl-3.0", "openrail", "other", "unknown", "timm"),
}


def front_matter(text: str) -> tuple[dict[str, Any] | None, str]:
    """The metadata of a card and "", or None and what is wrong."""
    found = re.match(r"^---\r?\n(.*?)\r?\n---\r?\n?", text, re.DOTALL)
    if not found:
        return None, "empty or missing yaml metadata in repo card"
    try:
        metadata = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        return None, f"YAML parse error: {error}"
    return (metadata, "") if isinstance(metadata, dict) else (None, "metadata is not a mapping")


def card_problems(text: str) -> tuple[list[str], list[str]]:
    """Errors and warnings, as the Hub's validate-yaml route reports them."""
    metadata, problem = front_matter(text)
    if metadata is None:
        return ([], [problem]) if problem.startswith("empty") else ([problem], [])
    errors = []
    licences = metadata.get("license") or []
    for licence in licences if isinstance(licences, list) else [licences]:
        if licence not in LICENCES:
            errors.append(f'"license" must be one of [{", ".join(sorted(LICENCES))}]')
    for key in ("tags", "datasets", "metrics"):
        value = metadata.get(key) or []
        if not isinstance(value, str) and not all(isinstance(item, str) for item in value):
            errors.append(f'"{key}" must be a string or an array of strings')
    try:
        _check_model_index(metadata.get("model-index") or [])
    except (KeyError, TypeError) as error:
        errors.append(f'"model-index" invalid: missing {error}')
    return errors, []


def _check_model_index(models: list[dict[str, Any]]) -> None:
    for model in models:
        _need(model, "name")
        for result in model["results"]:
            _need(result["task"], "type")
            _need(result["dataset"], "type", "name")
            for metric in result["metrics"]:
                _need(metric, "type", "value")


def _need(mapping: dict[str, Any], *keys: str) -> None:
    for key in keys:
        mapping[key]
