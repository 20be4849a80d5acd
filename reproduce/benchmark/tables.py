"""Tables of a recorded benchmark for the README and docs/performance*.md."""

from typing import Any

from gmconv_zoo.layers import FORMS

from ..markdown import table
from .subjects import STANDARD

__all__ = ["compiled_table", "form_table", "full_table", "network_table", "slow_table", "stem_table"]

Row = dict[str, Any]
_FORM_KINDS = tuple(f"gmconv {form}" for form in FORMS)
# Networks below these speeds are listed by `slow_table`.
_AIMS = {"inference": 0.97, "training": 0.95}


def network_table(record: dict[str, Any]) -> str:
    """Whole networks in batches of 32 images and more: speeds of both layers relative to the standard network."""
    cells = {cell: kinds for cell, kinds in _cells(record).items() if cell[2] >= 32}
    columns = ["network, batch", "memory format", "fused", "S-GMConv: inference", "training", "memory"]
    columns += ["GMConv: inference", "training", "memory"]
    lines, nets = [], list(dict.fromkeys(net for net, *_ in cells))
    places = dict.fromkeys((net, batch, memory_format) for net, _, batch, memory_format in cells)
    for net, batch, memory_format in sorted(places, key=lambda place: (nets.index(place[0]), place[1])):
        tasks = [cells.get((net, task, batch, memory_format), {}) for task in _AIMS]
        line = [f"{net}, {batch}", memory_format, _speed(tasks[0], "sgmconv fused")]
        for kind in ("sgmconv", "gmconv"):
            memory = [kinds[kind]["memory_ratio"] for kinds in tasks if kind in kinds]
            line += [*(_speed(kinds, kind) for kinds in tasks), f"{max(memory):.2f}" if memory else "-"]
        lines.append(line)
    return "\n".join([table(columns, lines, right=range(2, 9)), "", _caption(record)])


def full_table(record: dict[str, Any]) -> str:
    """Every row that was measured, with quartiles, but the forms of the stems, which `form_table` has."""
    columns = ("what", "batch", "memory format", "task", "kind", "ms", "speed", "quartiles", "fastest", "rounds")
    lines = []
    for part in record["parts"]:
        for row in part["rows"]:
            if part["settings"]["stem_only"] and row["kind"] in _FORM_KINDS:
                continue
            kind = " stem" if part["settings"]["stem_only"] else ", compiled" if part["settings"]["compile"] else ""
            what = row["net"] + kind
            low, high = row["ratio_quartiles"]
            spread = "" if row["kind"] == STANDARD else f"{low:.2f} to {high:.2f}"
            cells = (
                *(what, row["batch"], row["memory_format"], row["task"], row["kind"], f"{row['milliseconds']:.1f}"),
                *(f"{row['ratio']:.2f}", spread, f"{row['best_ratio']:.2f}", row["rounds"]),
                f"{row['memory_ratio']:.2f}",
            )
            lines.append([str(cell) for cell in cells])
    whole = table((*columns, "memory"), lines, right=(1, *range(5, 11)))
    return "\n".join([whole, "", _caption(record), *_startup(record)])


def compiled_table(record: dict[str, Any]) -> str:
    """The networks that `torch.compile` compiled, each beside the compiled standard network."""
    lines = [
        (
            *(row["net"], str(row["batch"]), row["memory_format"], row["task"], row["kind"]),
            *(f"{row['milliseconds']:.3g}", f"{row['ratio']:.3f}", f"{row['memory_ratio']:.2f}"),
        )
        for row in _rows(record, compiled=True)
    ]
    columns = ("network", "batch", "memory format", "task", "kind", "ms", "speed", "memory")
    return table(columns, lines, right=(1, 5, 6, 7))


def slow_table(record: dict[str, Any]) -> str:
    """Every masked network that is slower than aimed at in batches, and what its static masks and its stem add.

    The distance of the fused network's speed from 1, which is the error of the measurement, is subtracted first.
    """
    lines, count = [], 0
    for (net, task, batch, memory_format), kinds in _cells(record).items():
        if batch == 1 or not {"sgmconv", "sgmconv fused", "gmconv"} <= set(kinds):
            continue
        count += 2
        error = kinds["sgmconv fused"]["ratio"] - 1
        speeds = {kind: kinds[kind]["ratio"] - error for kind in ("sgmconv", "gmconv")}
        if min(speeds.values()) < _AIMS[task]:
            standard = kinds[STANDARD]["milliseconds"]
            times = {kind: standard / speed for kind, speed in speeds.items()}
            lines.append(
                (
                    *(net, str(batch), memory_format, task, f"{standard:.0f}"),
                    *(_marked(speeds[kind], _AIMS[task]) for kind in ("sgmconv", "gmconv")),
                    *(f"{times['sgmconv'] - standard:.1f}", f"{times['gmconv'] - times['sgmconv']:.1f}"),
                    f"{error:+.3f}",
                )
            )
    columns = (
        *("network", "batch", "memory format", "task", "standard (ms)", "S-GMConv", "GMConv"),
        *("static masks add (ms)", "dynamic stem adds (ms)", "error"),
    )
    below = sum(cell.startswith("**") for line in lines for cell in line[5:7])
    total = f"{below} of {count} speeds are below the aim, in bold."
    return f"{table(columns, lines, right=(1, *range(4, 10)))}\n\n{total}"


def _marked(speed: float, aim: float) -> str:
    return f"{speed:.3f}" if speed >= aim else f"**{speed:.3f}**"


def stem_table(record: dict[str, Any]) -> str:
    """What a dynamic stem adds to the time of its network, from the stems that were timed alone."""
    stems, lines = _cells(record, stem_only=True), []
    for row in _rows(record):
        if row["kind"] == STANDARD and "gmconv" in (stem := stems.get(_cell(row), {})):
            added, whole = stem["gmconv"]["milliseconds"] - stem[STANDARD]["milliseconds"], row["milliseconds"]
            cells = (row["net"], str(row["batch"]), row["memory_format"], row["task"])
            lines.append((*cells, f"{added:.1f}", f"{whole:.0f}", f"{whole / (whole + added):.3f}"))
    columns = ("network", "batch", "memory format", "task", "stem adds (ms)", "standard network (ms)", "speed by that")
    return table(columns, lines, right=(1, 4, 5, 6))


def form_table(record: dict[str, Any]) -> str:
    """The dynamic stems alone in every form: time of the standard stem, then the speed of each form relative to it."""
    lines = [
        (
            *(net, str(batch), memory_format, task, f"{kinds[STANDARD]['milliseconds']:.1f}"),
            *(f"{kinds[kind]['ratio']:.2f}" for kind in ("gmconv", *_FORM_KINDS)),
        )
        for (net, task, batch, memory_format), kinds in _cells(record, stem_only=True).items()
        if set(_FORM_KINDS) <= set(kinds)
    ]
    columns = ("stem of", "batch", "memory format", "task", "standard (ms)", "chosen form", *FORMS)
    return table(columns, lines, right=(1, *range(4, len(columns))))


def _rows(record: dict[str, Any], *, stem_only: bool = False, compiled: bool = False) -> list[Row]:
    wanted = {"stem_only": stem_only, "compile": compiled}
    return [row for part in record["parts"] if wanted.items() <= part["settings"].items() for row in part["rows"]]


def _cells(record: dict[str, Any], *, stem_only: bool = False) -> dict[tuple[str, str, int, str], dict[str, Row]]:
    """The rows by what they have in common and by kind."""
    cells: dict[tuple[str, str, int, str], dict[str, Row]] = {}
    for row in _rows(record, stem_only=stem_only):
        cells.setdefault(_cell(row), {})[row["kind"]] = row
    return cells


def _cell(row: Row) -> tuple[str, str, int, str]:
    return row["net"], row["task"], row["batch"], row["memory_format"]


def _speed(kinds: dict[str, Row], kind: str) -> str:
    return f"{kinds[kind]['ratio']:.2f}" if kind in kinds else "-"


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
