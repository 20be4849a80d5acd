import json

import pytest
import torch
from safetensors.torch import load_file

from gmconv_zoo.files.state_file import read_state
from tests import launch


def compare_with_a_whole_run(folder, kills, seed):
    done = launch.run(1, "-m", "tests.engine.killed_run", folder, kills, seed)
    for name in ("final.safetensors", "checkpoints/last.safetensors", "checkpoints/best.safetensors"):
        whole, killed = (load_file(folder / part / name) for part in ("whole", "killed"))
        assert whole.keys() == killed.keys()
        for key, value in whole.items():
            assert torch.equal(value, killed[key]), f"{name}: {key}"
    whole, killed = (read_state(folder / part / "checkpoints/last.safetensors") for part in ("whole", "killed"))
    assert whole["scheduler"] == killed["scheduler"]
    assert whole["progress"] == killed["progress"]
    columns = ("epoch", "step", "lr", "train_loss", "val_top1")
    rows = [[[row[column] for column in columns] for row in state["rows"]] for state in (whole, killed)]
    assert rows[0] == rows[1]
    return json.loads(done.stdout.splitlines()[-1])


def test_run_killed_at_random_steps_ends_with_the_same_bits(tmp_path):
    seen = compare_with_a_whole_run(tmp_path, 4, seed=1)
    assert any(batch for _, batch in seen), "no kill left a checkpoint within an epoch: draw other moments"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_run_killed_thirty_times_ends_with_the_same_bits(tmp_path, seed):
    compare_with_a_whole_run(tmp_path, 30, seed=seed)
