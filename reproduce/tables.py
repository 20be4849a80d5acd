"""Write the generated tables and the model cards, or check that they are up to date.

The tables of models and detectors are counted from the networks, those of runs are made from results/cifar.csv and
results/finetune.csv, those of speed and memory from results/benchmark, and the model cards from the weight specs.

Example:
    python -m reproduce.tables
    python -m reproduce.tables --check
"""

import argparse
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import torch
from torch import nn

from gmconv_zoo.cli.command import run
from gmconv_zoo.detection import build_preset, presets
from gmconv_zoo.hub.cards import card_of
from gmconv_zoo.hub.listing import listed_models
from gmconv_zoo.hub.profile import profile_registered
from gmconv_zoo.weights.specs import SPECS

from . import ROOT
from .benchmark.detectors import detector_table
from .benchmark.tables import compiled_table, form_table, full_table, network_table, slow_table, stem_table
from .experiments.finetuning_records import FinetuningRun, finetuning_gains, finetuning_table
from .experiments.records import RunRecord, read_records
from .experiments.sigmas import decayed_table, depth_table, undecayed_table
from .experiments.tables import experiment_tables, gain_table, highlights, parts_table
from .markdown import table, with_block

__all__ = ["detectors_table", "models_table", "outdated"]

CARDS = ROOT / "model_cards"
_MASKS = {"gmconv": "dynamic stem, static elsewhere", "sgmconv": "static", "stdconv": "none"}
_COLUMNS = ("model", "masks", "parameters", "GMACs", "image size", "pretrained tags")


def models_table() -> str:
    """Return all registered models as a Markdown table, the default tag first in its last column."""
    rows = []
    for name, tagged in groupby(listed_models(), key=lambda row: row["model"]):
        weights = list(tagged)
        counts = profile_registered(name)
        rows.append(
            (
                f"`{name}`",
                _MASKS[name.partition("_")[0]],
                f"{counts.parameters:,}",
                f"{counts.macs / 1e9:.3g}",
                f"{counts.input_size[1]} x {counts.input_size[2]}",
                ", ".join(f"`{row['tag']}`" for row in weights if row["tag"]) or "-",
            )
        )
    return table(_COLUMNS, rows, right=(2, 3, 4))


def detectors_table() -> str:
    """Return the paper's detectors as a Markdown table, with their parameters under frozen batch norms."""
    rows = []
    for preset in presets():
        with torch.device("meta"):
            detector = build_preset(preset.name, pretrained=False, batch_norm="train", frozen_stages=-1)
        norms = [module for module in detector.modules() if isinstance(module, nn.BatchNorm2d)]
        count = sum(p.numel() for p in detector.parameters()) - sum(p.numel() for n in norms for p in n.parameters())
        masked = f"stem, {_stages(preset.stages)}" if preset.stages else "-"
        head = preset.head.partition("_")[0].title()
        deformed = _stages(preset.dcn_stages) or "-"
        rows.append((f"`{preset.name}`", head, masked, deformed, f"{count:,}", f"{preset.paper_ap:.1f}"))
    columns = ("preset", "R-CNN", "GMConv", "deformable", "parameters", "AP in the paper")
    return table(columns, rows, right=(4, 5))


def _stages(numbers: tuple[int, ...]) -> str:
    ends = sorted({min(numbers), max(numbers)}) if numbers else ()
    return "-".join(f"L{number}" for number in ends)


def outdated() -> list[str]:
    """Return a line for each table and card that differs from what it is made from."""
    found = [f"{page}: the part {name!r} differs" for page, name, text in _parts() if text != page.read_text("utf-8")]
    cards = _cards()
    there = {path: path.read_text(encoding="utf-8") for path in CARDS.glob("*.md")}
    found += [f"{path} is missing or differs from its spec" for path, card in cards.items() if there.get(path) != card]
    return found + [f"{path} belongs to no spec" for path in sorted(there.keys() - cards.keys())]


def _cards() -> dict[Path, str]:
    """Return the model card of every weight, by its file."""
    return {CARDS / f"{name}.md": card_of(spec) for name, spec in SPECS.items()}


def _parts() -> Iterator[tuple[Path, str, str]]:
    """Page and name of every generated part, and the page's text with that part renewed."""
    runs = read_records(ROOT / "results" / "cifar.csv", RunRecord)
    finetuned = read_records(ROOT / "results" / "finetune.csv", FinetuningRun)
    speed, cuda, cuda_compiled, detectors = (
        json.loads((ROOT / "results" / "benchmark" / name).read_text(encoding="utf-8"))
        for name in ("cpu_float32.json", "cuda_bf16.json", "cuda_bf16_compiled.json", "detectors.json")
    )
    for name, part, content in (
        ("README.md", "models", models_table()),
        ("README.md", "highlights", highlights(runs)),
        ("README.md", "benchmark", network_table(speed)),
        ("docs/finetuning.md", "finetuning", finetuning_table(finetuned)),
        ("docs/finetuning.md", "finetuning-gains", finetuning_gains(finetuned)),
        ("docs/results.md", "gains", gain_table(runs)),
        ("docs/results.md", "parts", parts_table(runs)),
        ("docs/results.md", "cifar", experiment_tables(runs)),
        ("docs/findings.md", "decayed", decayed_table()),
        ("docs/findings.md", "depth", depth_table(runs)),
        ("docs/findings.md", "undecayed", undecayed_table(runs)),
        ("docs/performance.md", "cuda", network_table(cuda)),
        ("docs/detect.md", "presets", detectors_table()),
        ("docs/detect.md", "speed", detector_table(detectors)),
        ("docs/performance-figures.md", "benchmark", full_table(speed)),
        ("docs/performance.md", "compiled", compiled_table(speed)),
        ("docs/performance.md", "cuda-compiled", compiled_table(cuda_compiled)),
        ("docs/performance.md", "slow", slow_table(speed)),
        ("docs/performance.md", "stems", stem_table(speed)),
        ("docs/performance-ideas.md", "forms", form_table(speed)),
    ):
        yield ROOT / name, part, with_block(ROOT / name, part, content)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a table or card differs")


def _main(args: argparse.Namespace) -> int:
    if args.check:
        found = outdated()
        print(*found, *(["run: python -m reproduce.tables"] if found else []), sep="\n")
        return int(bool(found))
    for page, _, text in _parts():
        page.write_text(text, encoding="utf-8")
    for path, card in _cards().items():
        path.write_text(card, encoding="utf-8")
    return 0


if __name__ == "__main__":
    run("python -m reproduce.tables", __doc__, _add_options, _main)
