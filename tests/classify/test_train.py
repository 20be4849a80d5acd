import csv
import json

import pytest
import torch

from gmconv_zoo.classify.evaluate import Answers
from gmconv_zoo.engine import epochs
from gmconv_zoo.engine.checkpoint import load_weights
from gmconv_zoo.engine.evaluate import evaluate
from gmconv_zoo.engine.fit import default_accelerator
from tests.engine.nets import SHORT, tensor_loaders, tiny_net, train


def test_training_learns_and_records_the_final_score(tmp_path):
    net = tiny_net()
    before = evaluate(net, tensor_loaders()[1], Answers())
    recipe = SHORT.override(epochs=25, patience=None)
    result = train(net, *tensor_loaders(), recipe, output=tmp_path / "run", seed=5)
    assert before["top1_percent"] < 60
    assert result.score.top1_percent > 90
    assert result.score.to_dict() == evaluate(net, tensor_loaders()[1], Answers())
    with (tmp_path / "run" / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 26)]
    written = {"train_loss", "val_top1", "val_count", "sigma/2", "sigma/0.live", "sigma/0.horizontal_spread"}
    assert written <= set(rows[0])
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert (results["score"], results["seed"]) == (result.score.to_dict(), 5)
    assert results["recipe"]["sigma_weight_decay"] == 0
    assert (results["epoch"], results["epoch_selected_on_validation"]) == (25, False)
    assert results["seconds"] == pytest.approx(sum(row["seconds"] for row in result.rows))
    assert results["environment"]["torch"]


def test_labels_shifted_by_one_are_said_although_an_early_epoch_was_above_chance(caplog):
    for shift in (0, 1):
        train_loader, val_loader = tensor_loaders()
        val_loader.dataset.labels = (val_loader.dataset.labels + shift) % 3
        val_loader.dataset.labels[:2] = 2
        net = tiny_net()
        net.num_classes = 3
        with torch.no_grad():
            net[-1].bias.copy_(torch.tensor([0.0, 0.0, 3.0]))
        recipe = SHORT.override(epochs=25, warmup_epochs=4, patience=None)
        result = train(net, train_loader, val_loader, recipe)
        assert ("images are correct, which is not above chance (1 in 3)" in caplog.text) == bool(shift)
    assert result.rows[0]["val_top1"] == 8


def test_run_ends_when_validation_no_longer_improves_and_keeps_the_best_epoch(tmp_path):
    recipe = SHORT.override(epochs=9, patience=2, lr=0.0)  # nothing is learned: the first epoch stays the best
    net, saved = tiny_net(), {"checkpoints": True, "end_with_best": True}
    result = train(net, *tensor_loaders(), recipe, output=tmp_path, **saved)
    assert [row["epoch"] for row in result.rows] == [1, 2, 3]
    results = json.loads((tmp_path / "results.json").read_text())
    assert result.epoch == results["epoch"] == 1
    assert results["epoch_selected_on_validation"]
    best = tiny_net()
    load_weights(tmp_path / "checkpoints" / "best.safetensors", best)
    assert all(torch.equal(value, best.state_dict()[name]) for name, value in net.state_dict().items())


def test_the_best_epoch_is_not_taken_without_a_checkpoint_of_it(tmp_path):
    with pytest.raises(ValueError, match="end_with_best=True takes the weights of the best checkpoint"):
        train(tiny_net(), *tensor_loaders(), SHORT, output=tmp_path, end_with_best=True)


def test_same_seed_gives_the_same_weights():
    nets = [tiny_net(), tiny_net(), tiny_net()]
    for net, seed in zip(nets, (0, 0, 1), strict=True):
        with torch.no_grad():
            torch.rand(seed + 3)
        net.insert(5, torch.nn.Dropout(0.5))
        train(net, *tensor_loaders(), SHORT, seed=seed)
    weights = [torch.cat([p.flatten() for p in net.parameters()]) for net in nets]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_evaluation_every_few_epochs_ends_with_one_and_keeps_the_best_of_those(tmp_path, monkeypatch):
    recipe = SHORT.override(epochs=5, patience=None)
    saved = {"checkpoints": True, "end_with_best": True}
    result = train(tiny_net(), *tensor_loaders(), recipe, output=tmp_path, **saved, val_every=2)
    assert [row["epoch"] for row in result.rows if "val_top1" in row] == [2, 4, 5]
    assert result.epoch in (2, 4, 5)
    monkeypatch.setattr(epochs, "_SECONDS_BETWEEN_CURVES", 0.0)
    train(tiny_net(), *tensor_loaders(), recipe, output=tmp_path / "late", val_every=5)
    assert (tmp_path / "late" / "curves.png").is_file()


def test_the_running_average_is_that_of_the_weights_after_every_update_with_timms_warm_up():
    net, seen = tiny_net(), []
    recipe = SHORT.override(epochs=5, ema_decay=0.5)  # one update each
    train(net, *tensor_loaders(8), recipe, callbacks=[lambda state, _: seen.append(state.network[6].weight.clone())])
    average = seen[0]
    for step, weight in enumerate(seen[1:], start=1):
        decay = min(0.5, 1 - (1 + step) ** (-2 / 3))
        average = decay * average + (1 - decay) * weight
    torch.testing.assert_close(net[6].weight, average)


def test_sigma_settings_of_the_recipe_reach_training():
    frozen, free = tiny_net(), tiny_net()
    train(frozen, *tensor_loaders(), SHORT.override(sigma_lr_scale=0.0))
    train(free, *tensor_loaders(), SHORT.override(sigma_lr_scale=50.0))
    assert frozen[2].sigma.item() == 5.0
    assert free[2].sigma.item() != 5.0


def test_class_weights_of_the_recipe_reach_training():
    recipe = SHORT.override(epochs=1, class_weights=True)
    labels = torch.tensor([0, 1, 2]), torch.tensor([0, 0, 0, 1, 2])
    results = [train(tiny_net(), *tensor_loaders(), recipe, train_labels=counted) for counted in labels]
    assert results[0].rows[0]["train_loss"] != results[1].rows[0]["train_loss"]


def test_loader_with_another_batch_size_than_the_recipe_is_refused():
    with pytest.raises(ValueError, match=r"gives 4 images .* batch_size=8.*override\(batch_size=4\)"):
        train(tiny_net(), *tensor_loaders(batch_size=4), SHORT)


def test_network_is_left_in_float32_after_mixed_precision(forget_accelerator):
    net, twin = tiny_net(), tiny_net()
    accelerator = default_accelerator(mixed_precision="bf16")
    result = train(net, *tensor_loaders(), SHORT, accelerator=accelerator)
    twin.load_state_dict(net.state_dict())
    images, _ = next(iter(tensor_loaders()[1]))
    assert result.score.count == 21
    assert torch.equal(net.eval()(images), twin.to(memory_format=torch.channels_last).eval()(images))


def test_compiled_training_gives_the_same_weights_under_the_same_names(tmp_path, forget_accelerator):
    # dynamo's own backend compiles nothing, and is quick
    nets = {"eager": tiny_net(), "compiled": tiny_net()}
    recipe = SHORT.override(ema_decay=0.9)
    for name, net in nets.items():
        forget_accelerator()
        backend = {"compile": True, "dynamo_backend": "eager"} if name == "compiled" else {}
        options = {"output": tmp_path / name, "checkpoints": True, "accelerator": default_accelerator(**backend)}
        train(net, *tensor_loaders(), recipe, **options)
    assert json.loads((tmp_path / "compiled" / "results.json").read_text())["compiled"] is True
    eager, compiled = (net.state_dict() for net in nets.values())
    assert list(eager) == list(compiled)
    for key, value in eager.items():  # a dynamic layer takes another form when it is compiled
        torch.testing.assert_close(compiled[key], value, rtol=1e-4, atol=1e-5, msg=key)
    load_weights(tmp_path / "compiled" / "checkpoints" / "last.safetensors", nets["eager"])
