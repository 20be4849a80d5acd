"""Tables of a recorded benchmark for the README and docs/performance.md, made from its JSON file."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..markdown import table, with_block
from .subjects import STANDARD
from .targets import verdicts

__all__ = ["aims_table", "full_table", "network_table", "stem_table", "tables_are_current", "write_tables"]

Row = dict[str, Any]


def network_table(record: dict[str, Any]) -> str:
    """Whole networks at their largest batch: one line per network and memory format, speeds relative to standard."""
    rows = _rows(record, stem_only=False)
    largest = {net: max(row["batch"] for row in rows if row["net"] == net) for net in _nets(rows)}
    lines = [
        "| network, batch | memory format | fused | S-GMConv: inference | training | memory "
        "| GMConv: inference | training | memory |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for net, batch in largest.items():
        for memory_format in ("contiguous", "channels_last"):
            here = [
                row for row in rows if (row["net"], row["batch"], row["memory_format"]) == (net, batch, memory_format)
            ]
            if here:
                cells = [f"{net}, {batch}", memory_format, _speed(here, "sgmconv fused", "inference")]
                for kind in ("sgmconv", "gmconv"):
                    cells += [_speed(here, kind, "inference"), _speed(here, kind, "training"), _memory(here, kind)]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", _caption(record)])


def full_table(record: dict[str, Any]) -> str:
    """Every row that was measured, with quartiles."""
    lines = [
        "| what | batch | memory format | task | kind | ms | speed | quartiles | fastest | rounds | memory |",
        "|---|---:|---|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for part in record["parts"]:
        for row in part["rows"]:
            what = f"{row['net']} stem" if part["settings"]["stem_only"] else row["net"]
            low, high = row["ratio_quartiles"]
            spread = "" if row["kind"] == STANDARD else f"{low:.2f} to {high:.2f}"
            cells = (
                *(what, row["batch"], row["memory_format"], row["task"], row["kind"], f"{row['milliseconds']:.1f}"),
                *(f"{row['ratio']:.2f}", spread, _fastest(row), row["rounds"], f"{row['memory_ratio']:.2f}"),
            )
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, "", _caption(record), *_startup(record)])


def aims_table(record: dict[str, Any]) -> str:
    """How many of the aims a run reached, and a line for each that it missed."""
    judged = verdicts(record)
    missed = [verdict for verdict in judged if not verdict.reached]
    counts = f"{len(judged) - len(missed)} of {len(judged)} aims were reached."
    fused = [v.value for v in judged if v.measure == "speed" and v.what.endswith(" sgmconv fused")]
    if fused:
        counts += f" The fused networks came out between {min(fused):.2f} and {max(fused):.2f} at these batches."
    if not missed:
        return counts
    rows = [(v.what, v.measure, f"{v.value:.3f}", f"{v.limit:.3f}") for v in missed]
    return f"{counts} Missed:\n\n{table(('what', 'measure', 'measured', 'aim'), rows, right=(2, 3))}"


def stem_table(record: dict[str, Any]) -> str:
    """What a dynamic stem adds to the time of its network, from the stems that were timed alone."""
    stems = {_cell(row): row for row in _rows(record, stem_only=True) if row["kind"] == "gmconv"}
    plain_stems = {_cell(row): row for row in _rows(record, stem_only=True) if row["kind"] == STANDARD}
    lines = []
    for row in _rows(record, stem_only=False):
        if row["kind"] == STANDARD and (stem := stems.get(_cell(row))):
            added = stem["milliseconds"] - plain_stems[_cell(row)]["milliseconds"]
            whole = row["milliseconds"]
            cells = (row["net"], str(row["batch"]), row["memory_format"], row["task"])
            lines.append((*cells, f"{added:.1f}", f"{whole:.0f}", f"{whole / (whole + added):.3f}"))
    columns = ("network", "batch", "memory format", "task", "stem adds (ms)", "standard network (ms)", "speed by that")
    return table(columns, lines, right=(1, 4, 5, 6)) if lines else "No stem was timed alone."


def write_tables(record_path: Path, *, readme: Path, page: Path) -> None:
    """Put the tables into the README and into the page on performance.

    Args:
        record_path: what `run_benchmark` wrote.
        readme: Markdown file with the markers of "benchmark".
        page: Markdown file with those of "benchmark", "aims" and "stems".

    Raises:
        ValueError: when a marker is missing.
    """
    for path, name, content in _blocks(record_path, readme, page):
        path.write_text(with_block(path, name, content), encoding="utf-8")


def tables_are_current(record_path: Path, *, readme: Path, page: Path) -> bool:
    """Whether both files hold what `write_tables` would write."""
    blocks = _blocks(record_path, readme, page)
    return all(path.read_text(encoding="utf-8") == with_block(path, name, content) for path, name, content in blocks)


def _blocks(record_path: Path, readme: Path, page: Path) -> list[tuple[Path, str, str]]:
    """File, name and content of every generated part."""
    record = json.loads(record_path.read_text(encoding="utf-8"))
    return [
        (readme, "benchmark", network_table(record)),
        (page, "benchmark", full_table(record)),
        (page, "aims", aims_table(record)),
        (page, "stems", stem_table(record)),
    ]


def _rows(record: dict[str, Any], *, stem_only: bool) -> list[Row]:
    return [row for part in record["parts"] if part["settings"]["stem_only"] == stem_only for row in part["rows"]]


def _cell(row: Row) -> tuple[str, str, int, str]:
    return row["net"], row["task"], row["batch"], row["memory_format"]


def _nets(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row["net"] for row in rows))


def _speed(rows: list[Row], kind: str, task: str) -> str:
    found = [row for row in rows if row["kind"] == kind and row["task"] == task]
    return f"{found[0]['ratio']:.2f}" if found else "-"


def _fastest(row: Row) -> str:
    """The ratio of the fastest calls, which older records lack."""
    return f"{row['best_ratio']:.2f}" if "best_ratio" in row else "-"


def _memory(rows: list[Row], kind: str) -> str:
    """The larger of the ratios in inference and in training."""
    found = [row["memory_ratio"] for row in rows if row["kind"] == kind]
    return f"{max(found):.2f}" if found else "-"


def _caption(record: dict[str, Any]) -> str:
    where = record["environment"]
    settings = record["parts"][0]["settings"]
    place = (
        where["gpu"] if settings["device"].startswith("cuda") else f"{where['processor']}, {where['threads']} threads"
    )
    clock = ", processor time on a busy machine" if settings["busy"] else ""
    freed = f", freed memory {where['freed_memory']}" if where.get("freed_memory") else ""
    return (
        f"Speed is the standard network's time divided by this one's (above 1 is faster), memory is this one's peak "
        f"divided by the standard network's. {place}, {settings['precision']}{clock}{freed}, torch {where['torch']}, "
        f"timm {where['timm']}."
    )


def _startup(record: dict[str, Any]) -> list[str]:
    if not (times := record["startup"]):
        return []
    return [
        "",
        f"Startup: `import gmconv_zoo` after `import timm` {times['import_ms']:.0f} ms; `create_model` of "
        f"{times['net']} {times['create_plain_ms']:.0f} ms plain, {times['create_gmconv_ratio']:.2f} times that for "
        f"GMConv and {times['create_sgmconv_ratio']:.2f} times for S-GMConv; `convert` {times['convert_ms']:.0f} ms.",
    ]
