"""A tiny run of the whole benchmark: subjects, record, tables, scaling, command."""

import json
import logging
import platform
import runpy
import sys
from dataclasses import replace
from itertools import product

import pytest
import torch

from gmconv_zoo.engine.allocator import keep_freed_memory
from gmconv_zoo.layers import DGMConv2d, SGMConv2d
from reproduce.benchmark import plans
from reproduce.benchmark.detectors import TORCHVISION, detector_rows
from reproduce.benchmark.measure import measure
from reproduce.benchmark.plans import BenchmarkSettings
from reproduce.benchmark.processes import process_rows
from reproduce.benchmark.record import make_record, merge_record, run_benchmark
from reproduce.benchmark.scaling import _draw, scaling_rows
from reproduce.benchmark.startup import startup_times
from reproduce.benchmark.subjects import KINDS, STANDARD, build_subject
from reproduce.benchmark.tables import compiled_table, full_table, network_table, slow_table, stem_table

PROCESS_TASKS = ("training", "validation")
TINY = BenchmarkSettings(
    nets=("cifar_resnet20",), kinds=("sgmconv", "gmconv"), batches=(1,), image_size=8, seconds=0, rounds=1
)


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> dict:
    path = tmp_path_factory.mktemp("benchmark") / "record.json"
    run_benchmark([TINY], path)
    return json.loads(path.read_text())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_takes_the_place_of_the_standard_network(kind):
    x = torch.randn(2, 3, 32, 32)
    torch.manual_seed(0)
    net = build_subject("cifar_resnet20", kind).eval()
    torch.manual_seed(0)
    standard = build_subject("cifar_resnet20", STANDARD).eval()
    assert net(x).shape == standard(x).shape
    layer = build_subject("cifar_resnet20", kind, stem_only=True)
    assert layer(x).shape == build_subject("cifar_resnet20", STANDARD, stem_only=True)(x).shape
    masked = [module for module in net.modules() if isinstance(module, (SGMConv2d, DGMConv2d))]
    assert bool(masked) == (kind.startswith(("sgmconv", "gmconv")) and kind != "sgmconv fused")
    if "stem" not in kind:  # the others compute something else
        torch.testing.assert_close(net(x), standard(x), rtol=1e-4, atol=1e-4)
    if kind.startswith("gmconv "):
        assert net.conv1.form == kind.partition(" ")[2]


def test_the_record_and_its_tables_hold_every_cell_with_machine_and_settings(record):
    (part,) = record["parts"]
    rows = part["rows"]
    assert len(rows) == 2 * 2 * 3  # tasks, memory formats, kinds
    assert {row["kind"] for row in rows} == {"standard", "sgmconv", "gmconv"}
    assert all(row["ratio"] == row["memory_ratio"] == 1 for row in rows if row["kind"] == "standard")
    assert all(row["milliseconds"] > 0 and row["peak_mib"] > 0 for row in rows)
    assert record["environment"]["torch"] == torch.__version__
    assert part["settings"]["batches"] == [1]
    assert full_table(record).count("| cifar_resnet20 |") == len(rows)
    assert "cifar_resnet20, 1 |" not in network_table(record)  # of 32 images and more
    larger = json.loads(json.dumps(record).replace('"batch": 1,', '"batch": 32,'))
    assert network_table(larger).count("| cifar_resnet20, 32 |") == 2


def test_parts_measured_anew_replace_their_like_and_keep_their_commit(record):
    other = {**record["parts"][0], "settings": {**record["parts"][0]["settings"], "batches": [7]}}
    earlier = {**record, "environment": {**record["environment"], "commit": "before"}}
    earlier["parts"] = [{key: value for key, value in record["parts"][0].items() if key != "commit"}, other]
    again = {**record, "parts": [{**record["parts"][0], "commit": "after", "rows": []}]}
    merged = merge_record(earlier, again)
    assert [part["commit"] for part in merged["parts"]] == ["after", other["commit"]]
    assert merge_record(earlier, {**again, "parts": []})["parts"][0]["commit"] == "before"
    elsewhere = {**again, "environment": {**again["environment"], "processor": "another"}}
    with pytest.raises(ValueError, match=r"processor is 'another' here .* measure every plan anew"):
        merge_record(earlier, elsewhere)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_the_record_tells_what_became_of_freed_memory(record, monkeypatch):
    monkeypatch.setattr("reproduce.benchmark.record.compare", lambda settings, *_: [])
    assert record["environment"]["freed_memory"] == ("kept" if keep_freed_memory() else "returned")
    assert f"freed memory {record['environment']['freed_memory']}" in full_table(record)
    returned = run_benchmark([TINY], keep_memory=False)
    kept = {**record, "environment": {**record["environment"], "freed_memory": "kept"}}
    with pytest.raises(ValueError, match="freed_memory is 'returned' here and was 'kept' in the record"):
        merge_record(kept, returned)  # the two do not belong in one table


def test_training_changes_the_weights_and_inference_does_not():
    for task, changed in (("training", True), ("inference", False)):
        net = build_subject("cifar_resnet20", "gmconv")
        before = net.conv1.weight.detach().clone()
        measure({"standard": net}, torch.randn(2, 3, 8, 8), task, TINY)
        assert bool((net.conv1.weight != before).any()) == changed


def test_bf16_and_a_single_layer_are_measured():
    settings = replace(TINY, tasks=("training",), image_size=16, precision="bf16", stem_only=True)
    assert len(run_benchmark([settings])["parts"][0]["rows"]) == 2 * 3  # formats, kinds


@pytest.mark.slow
def test_compiled_networks_are_measured():
    settings = replace(TINY, compile=True, tasks=("inference",), formats=("channels_last",))
    rows = run_benchmark([settings])["parts"][0]["rows"]
    assert [row["kind"] for row in rows] == ["standard", "sgmconv", "gmconv"]
    assert all(row["milliseconds"] > 0 for row in rows)


def test_what_a_stem_adds_is_told_beside_its_network(record):
    (part,) = json.loads(json.dumps(record))["parts"]
    alone = {"settings": {**part["settings"], "stem_only": True}, "rows": json.loads(json.dumps(part["rows"]))}
    for row in part["rows"]:
        row["milliseconds"] = 100.0
    for row in alone["rows"]:
        row["milliseconds"] = 35.0 if row["kind"] == "gmconv" else 10.0
    lines = stem_table({**record, "parts": [part, alone]}).splitlines()
    assert len(lines) == 2 + 4
    assert "| cifar_resnet20 | 1 | channels_last | training | 25.0 | 100 | 0.800 |" in lines


def test_networks_below_the_aimed_speed_are_listed_with_what_adds_time():
    cell = {"net": "resnet18", "task": "inference", "batch": 8, "memory_format": "contiguous"}
    speeds = {STANDARD: 1.0, "sgmconv": 1.0, "sgmconv fused": 1.02, "gmconv": 0.9}
    rows = [{**cell, "kind": kind, "ratio": ratio, "milliseconds": 98.0} for kind, ratio in speeds.items()]
    part = {"settings": {"stem_only": False, "compile": False}, "rows": rows}
    text = slow_table({"parts": [part]})
    assert "| resnet18 | 8 | contiguous | inference | 98 | 0.980 | **0.880** | 2.0 | 11.4 | +0.020 |" in text
    assert text.endswith("1 of 2 speeds are below the aim, in bold.")
    compiled = {"settings": {"stem_only": False, "compile": True}, "rows": [{**rows[1], "memory_ratio": 1.0}]}
    assert slow_table({"parts": [part, compiled]}) == text
    assert "| resnet18 | 8 | contiguous | inference | sgmconv | 98 | 1.000 | 1.00 |" in compiled_table(
        {"parts": [part, compiled]}
    )


def test_cost_along_an_axis_is_measured_and_drawn(tmp_path):
    rows = scaling_rows(TINY, {"masked layers": (1, 2), "kernel size": (3, 5)})
    points = list(dict.fromkeys((row["axis"], row["value"]) for row in rows))
    assert points == [("masked layers", 1), ("masked layers", 2), ("kernel size", 3), ("kernel size", 5)]
    rows += [{**rows[0], "axis": "processes", "task": task} for task in PROCESS_TASKS]
    _draw(rows, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 5000


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_work_that_processes_share_is_measured(processes):
    rows = process_rows((STANDARD, "gmconv"), processes, seconds=0, rounds=1)
    assert [(row["task"], row["kind"]) for row in rows] == list(product(PROCESS_TASKS, (STANDARD, "gmconv")))
    assert all(row["milliseconds"] > 0 and row["rounds"] == 1 for row in rows)


@pytest.mark.slow
def test_startup_is_measured():
    times = startup_times(net="cifar_resnet20", rounds=1)
    assert all(times[key] > 0 for key in times if key.endswith(("_ms", "_ratio")))


def test_devices_that_cannot_be_used_and_the_processors_time_of_several_threads_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="device='cuda:99' cannot be used"):
        replace(TINY, device="cuda:99")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    with pytest.raises(ValueError, match=r"busy=True: .* use the CPU and one thread"):
        replace(TINY, busy=True)


def test_a_cuda_device_has_plans_and_a_record_of_its_own_that_is_renewed_in_parts(monkeypatch, tmp_path):
    monkeypatch.setattr(plans, "usable_device", lambda _: None)
    monkeypatch.setattr("reproduce.benchmark.record.compare", lambda settings, *_: [])
    parts = plans.planned(device="cuda", precision="bf16")
    assert parts[0].stem_only
    assert {(part.device, part.precision) for part in parts} == {("cuda", "bf16")}
    cells = [len(p.nets) * len(p.tasks) * len(p.batches) * len(p.formats) * p.seconds for p in parts]
    assert sum(cells) < 120  # seconds of timing; building the networks takes about as long
    with pytest.raises(ValueError, match=r"plans=.'peers'.*pass some of .'stem', 'cifar'"):
        plans.planned(["peers"], device="cuda")
    with pytest.raises(FileNotFoundError, match=r"cuda_bf16\.json: there is no record yet; measure all plans first"):
        make_record(tmp_path, parts, renew=True)
    path = make_record(tmp_path, parts)
    assert path == tmp_path / "cuda_bf16.json"
    assert json.loads(path.read_text())["startup"] is None
    make_record(tmp_path, [replace(parts[0], batches=(3,))], renew=True)
    batches = [part["settings"]["batches"] for part in json.loads(path.read_text())["parts"]]
    assert batches == [*(list(part.batches) for part in parts), [3]]


def test_the_command_measures(monkeypatch, tmp_path):
    monkeypatch.setitem(plans.PLANS, "stem", (TINY,))
    monkeypatch.setattr(sys, "argv", ["benchmark", "--plan", "stem", "--output", str(tmp_path / "out.json")])
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    threads = torch.get_num_threads()
    runpy.run_module("reproduce.benchmark", run_name="__main__")
    torch.set_num_threads(threads)
    assert len(json.loads((tmp_path / "out.json").read_text())["parts"]) == 1


@pytest.mark.slow
def test_every_detector_is_timed_beside_the_standard_one():
    rows = detector_rows(64, seconds=0, rounds=1)
    assert [row["detector"] for row in rows][-2:] == ["faster_std again", TORCHVISION]
    assert rows[0]["ratio"] == 1
    assert all(row["milliseconds"] > 0 and row["side"] == 64 for row in rows)
