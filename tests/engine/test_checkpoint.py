import errno
import math
import os
import shutil
from types import SimpleNamespace

import pytest
import torch

from gmconv_zoo.engine.checkpoint import CheckpointError, Checkpoints, load_weights
from gmconv_zoo.engine.epochs import Validation, best_row
from gmconv_zoo.engine.nonfinite import NonFiniteError
from gmconv_zoo.files.state_file import read_state, write_state
from tests.test_targets import contents

from .killed_run import RECIPE, loaders, network
from .nets import tiny_net, train


def run(folder, net=None, recipe=RECIPE, **options):
    net = network() if net is None else net
    return train(net, *loaders(), recipe, output=folder, checkpoints=True, **{"resume": True, **options})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run that has ended, and its result."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, run(folder)


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of the folder of a run that has ended."""
    return shutil.copytree(finished[0], tmp_path / "run")


def test_state_comes_back_as_it_was_and_a_truncated_file_is_named(tmp_path):
    state = {
        "a": torch.arange(4).view(2, 2).t(),
        "b": {0: {"step": torch.tensor(3.0), "x": None}, "c": [0.1, math.inf, True, "text", 2**70]},
    }
    write_state(tmp_path / "x", state)
    back = read_state(tmp_path / "x")
    assert torch.equal(back["a"], state["a"])
    assert back["b"][0]["step"] == 3
    assert back["b"][0]["x"] is None
    assert back["b"]["c"] == state["b"]["c"]
    (tmp_path / "x").write_bytes((tmp_path / "x").read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"x is not a checkpoint of gmconv_zoo, or it is damaged"):
        read_state(tmp_path / "x")


def test_full_disk_stops_the_run_with_the_earlier_checkpoint_kept(tmp_path, monkeypatch):
    done = []

    def full(handle):
        done.append(handle)
        if len(done) > 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"No space left on device.*the earlier .*last.safetensors is kept"):
        run(tmp_path, save_every=1)
    monkeypatch.undo()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.safetensors"]
    assert read_state(tmp_path / "checkpoints" / "last.safetensors")["progress"]["step"] == 2
    assert run(tmp_path).rows[-1]["epoch"] == RECIPE.epochs


def test_finished_run_is_not_trained_again_whichever_version_wrote_its_checkpoint(finished, folder):
    path = folder / "checkpoints" / "last.safetensors"
    weights = path.read_bytes()
    (folder / "thesis.tex").touch()  # which stays
    again = run(folder)
    assert (again.rows, again.score) == (finished[1].rows, finished[1].score)
    assert path.read_bytes() == weights
    newer = {"validation_set": "6 images", "file_names_digest": "1f", "start": "gmconv_resnet18"}
    assert run(folder, run=newer, identity=newer).rows == again.rows
    content = read_state(path)
    assert content["identity"]["recipe"].pop("freeze_statistics") is False
    write_state(path, content)
    assert run(folder).rows == again.rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"run": {"frozen": ["layer1"]}, "identity": ["frozen"]}, "another run: frozen is None there"),
        ({"recipe": RECIPE.override(lr=0.01)}, r"another run: recipe\.lr is 0\.05 there and 0\.01 here"),
        ({"seed": 4}, r"seed is 0 there and 4 here"),
        ({"net": tiny_net(classes=5).insert(5, torch.nn.Dropout(0.3))}, r"of another network: .*weight is \[3, 4\]"),
        ({"resume": False}, r"from an earlier run\. Pass resume"),
    ],
)
def test_checkpoint_of_another_run_is_refused_and_nothing_is_lost(folder, change, message):
    before = contents(folder)
    with pytest.raises(ValueError, match=message):
        run(folder, **change)
    assert contents(folder) == before


def test_overwrite_starts_anew_and_excludes_resume_which_needs_permission(finished, folder, monkeypatch):
    again = run(folder, recipe=RECIPE.override(lr=0.01), resume=False, overwrite=True)
    assert [row["epoch"] for row in again.rows] == [1, 2, 3, 4]
    assert again.rows[-1]["train_loss"] != finished[1].rows[-1]["train_loss"]

    def killed(*_):
        raise RuntimeError("killed")

    net = network()
    net.register_forward_pre_hook(killed)
    with pytest.raises(RuntimeError, match="killed"):
        run(folder, net=net, resume=False, overwrite=True)
    assert not list((folder / "checkpoints").iterdir())  # from which --resume would go on
    with pytest.raises(ValueError, match="exclude each other"):
        run(folder, resume=True, overwrite=True)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(ValueError, match="you have no permission to write"):
        run(folder, recipe=RECIPE.override(lr=0.01))


def test_checkpoint_that_not_all_machines_see_is_refused(folder, monkeypatch):
    """Else one half of the processes would go on, the other begin, and their gradients be averaged."""
    writer = Checkpoints(folder / "checkpoints", {}, best="val_top1")
    monkeypatch.setattr("gmconv_zoo.engine.checkpoint.gather_object", lambda found: [*found, False])
    with pytest.raises(ValueError, match="is there for 1 of 2 processes: let all machines share the output folder"):
        writer.resume(SimpleNamespace())


def test_losses_of_an_epoch_are_shared_by_another_number_of_processes(tmp_path):
    stored = [{"totals": torch.tensor(totals), "rng": None} for totals in ([6.0, 3.0], [2.0, 1.0])]
    accelerator = SimpleNamespace(process_index=0, num_processes=1)
    state = SimpleNamespace(accelerator=accelerator, totals=torch.zeros(2), rng=None)
    Checkpoints(tmp_path, {}, best="val_top1")._resume_process(state, stored)
    assert state.totals.tolist() == [8, 4]


def test_nan_loss_keeps_the_last_good_checkpoint(tmp_path):
    net = network()

    def poison(state, row):
        if state.epoch == 2:
            net[2].sigma.data.fill_(math.nan)

    with pytest.raises(NonFiniteError, match=r"step 14: a weight went bad; 2\.sigma is the first parameter"):
        run(tmp_path, net, callbacks=[poison])
    kept = read_state(tmp_path / "checkpoints" / "last.safetensors")
    assert kept["progress"]["epoch"] == 1
    assert all(torch.isfinite(value).all() for value in kept["model"].values())


def test_best_checkpoint_is_the_best_epoch_s_and_a_run_without_a_last_one_goes_on_from_it(tmp_path, caplog):
    net = network()
    result = run(tmp_path, net, end_with_best=True, save_every=1)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["best.safetensors", "last.safetensors"]
    best = read_state(tmp_path / "checkpoints" / "best.safetensors")
    tops = [row["val_top1"] for row in result.rows]
    assert best["progress"]["epoch"] == result.epoch == tops.index(max(tops)) + 1
    assert result.score.top1 == max(tops)
    assert all(torch.equal(value, best["ema"][key]) for key, value in net.state_dict().items())
    with pytest.raises(ValueError, match="of another network"):
        load_weights(tmp_path / "checkpoints" / "last.safetensors", tiny_net())
    (tmp_path / "checkpoints" / "last.safetensors").unlink()  # the best one is written first
    caplog.set_level("INFO")
    resumed = run(tmp_path, end_with_best=True)
    assert f"going on from {tmp_path / 'checkpoints' / 'best.safetensors'}" in caplog.text
    assert [row["val_top1"] for row in resumed.rows] == tops


def test_best_is_the_first_of_the_largest_and_last_is_always_written(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(Checkpoints, "save", lambda _, state, name: written.append((len(state.rows), name)))
    writer, state = Checkpoints(tmp_path, {}, best="top1"), SimpleNamespace(rows=[])
    for top1 in (0, 3, 3, 2, 4):
        state.rows.append({"top1": top1})
        writer(state, state.rows[-1])
    assert [epoch for epoch, name in written if name == "best.safetensors"] == [1, 2, 5]
    assert [epoch for epoch, name in written if name == "last.safetensors"] == [1, 2, 3, 4, 5]
    assert best_row([{"epoch": epoch, "val_top1": 3} for epoch in (1, 2)], "top1")["epoch"] == 1


def test_run_whose_first_evaluation_failed_goes_on_with_it_without_training_again(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("an image cannot be read")

    nets = [network(), network()]
    whole = run(tmp_path / "whole", nets[0])
    monkeypatch.setattr(Validation, "__call__", fail)
    with pytest.raises(OSError, match="cannot be read"):
        run(tmp_path / "failed")
    monkeypatch.undo()
    passes = []
    nets[1].register_forward_hook(lambda net, *_: passes.append(net.training))
    again = run(tmp_path / "failed", nets[1])
    assert sum(passes) == 7 * (RECIPE.epochs - 1)
    rows = [[[row[key] for key in ("step", "train_loss", "val_top1")] for row in got.rows] for got in (whole, again)]
    assert rows[0] == rows[1]
    assert all(map(torch.equal, nets[0].state_dict().values(), nets[1].state_dict().values()))


@pytest.mark.parametrize(
    ("every", "row", "steps"),
    [
        (1, {"val_top1": 3}, [1, 2, 3, 4, 5, 7, 8, 9, 10, 11]),
        (3, {"val_top1": 3}, [3, 9]),
        (None, {"val_top1": 3}, []),
        (None, {"train_loss": 0.1}, [6, 12]),
    ],
)
def test_an_epoch_is_saved_every_so_many_updates_and_before_its_evaluation_until_one_was_evaluated(
    tmp_path, monkeypatch, every, row, steps
):
    written = []
    monkeypatch.setattr(Checkpoints, "save", lambda _, state, name: written.append((state.step, name)))
    writer = Checkpoints(tmp_path, {}, every=every, best="val_top1")
    for step in range(1, 13):
        writer.after_update(SimpleNamespace(step=step, rows=[row]), step % 6 == 0)
    assert written == [(step, "last.safetensors") for step in steps]
