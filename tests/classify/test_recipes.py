import json
from functools import partial

import pytest

from gmconv_zoo.classify import train as train_module
from gmconv_zoo.classify.recipes import (
    FINETUNE,
    FINETUNE_RANDOM,
    PAPER_RECIPES,
    Recipe,
    dataset_statistics,
    finetuning_recipe,
)


def test_paper_recipes_are_the_paper_s():
    # Sec. IV-A: epochs, batch, lr, weight decay, schedule
    said = {
        "cifar_resnet20": (160, 128, 0.1, 1e-4, ("multistep", (80, 120), 0.1)),
        "cifar_resnet56": (160, 128, 0.1, 1e-4, ("multistep", (80, 120), 0.1)),
        "cifar_resnet18": (200, 128, 0.1, 5e-4, ("multistep", (60, 120, 160), 0.2)),
        "resnet18": (90, 256, 0.1, 4e-5, ("step", 30, 0.1)),
        "resnet50": (90, 256, 0.1, 4e-5, ("step", 30, 0.1)),
        "alexnet": (90, 256, 0.01, 4e-5, ("multistep", (30, 60), 0.1)),
        "mobilenetv2": (300, 256, 0.01, 4e-5, ("step", 1, 0.98)),
    }
    assert {name: _summary(recipe) for name, recipe in PAPER_RECIPES.items()} == said
    for name, recipe in PAPER_RECIPES.items():  # plain SGD that decays every parameter
        assert (recipe.optimizer, recipe.momentum, recipe.decay_norm_and_bias) == ("momentum", 0.9, True)
        assert recipe.sigma_weight_decay == recipe.weight_decay
        assert (recipe.sigma_lr_scale, recipe.label_smoothing, recipe.warmup_epochs) == (1.0, 0.0, 0.0)
        assert (recipe.flip, recipe.crop_padding) == (True, 4 if name.startswith("cifar") else 0)


def _summary(recipe: Recipe):
    when = recipe.milestones if recipe.schedule == "multistep" else recipe.decay_epochs
    decay = (recipe.schedule, when, recipe.decay_rate)
    return recipe.epochs, recipe.batch_size, recipe.lr, recipe.weight_decay, decay


def test_finetuning_decays_no_sigma_and_random_weights_are_trained_at_a_higher_rate():
    pretrained, random = finetuning_recipe(1000, {}), finetuning_recipe(1000, {}, random_start=True)
    assert (pretrained, random) == (FINETUNE, FINETUNE_RANDOM)
    assert (pretrained.freeze_statistics, random.freeze_statistics) == (True, False)
    assert pretrained.lr < random.lr
    assert (pretrained.sigma_weight_decay, pretrained.decay_norm_and_bias) == (0, False)


@pytest.mark.parametrize(("images", "batch_size"), [(512, 64), (511, 32), (128, 16), (127, 8), (10, 8)])
def test_small_datasets_get_small_batches_and_lower_rates(images, batch_size):
    random = finetuning_recipe(images, {}, random_start=True)
    assert (random.batch_size, random.lr) == (batch_size, FINETUNE_RANDOM.lr * batch_size / 64)
    recipe = finetuning_recipe(images, {})
    assert (recipe.batch_size, recipe.lr) == (batch_size, FINETUNE.lr * (batch_size / 64) ** 0.5)
    assert finetuning_recipe(images, {"batch_size": 48}) == FINETUNE.override(batch_size=48)


def test_override_changes_only_what_is_named_and_a_recipe_survives_json():
    changed = FINETUNE.override(lr=0.2)
    assert (changed.lr, changed.override(lr=FINETUNE.lr)) == (0.2, FINETUNE)
    with pytest.raises(ValueError, match=r"a recipe has no field learning_rate: its fields are .*weight_decay"):
        FINETUNE.override(learning_rate=0.1)
    recipe = PAPER_RECIPES["cifar_resnet18"]
    assert Recipe(**json.loads(json.dumps(recipe.to_dict()))) == recipe


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0"),
        ({"crop_padding": -1}, "crop_padding=-1"),
    ],
)
def test_values_out_of_range_are_refused_by_name(values, message):
    with pytest.raises(ValueError, match=message):
        FINETUNE.override(**values)


def test_cifar100_has_its_own_statistics_and_other_datasets_keep_the_networks():
    own = {"mean": [0.5071, 0.4865, 0.4409], "std": [0.2673, 0.2564, 0.2762]}
    for data in ("torch/cifar100", "data/cifar100", "data/CIFAR-100"):
        assert dataset_statistics(data) == own
    for data in ("torch/cifar10", "photos", "cifar1000"):
        assert dataset_statistics(data) == {}


def test_network_and_recipe_of_a_training_are_those_of_its_model_and_data(tmp_path, monkeypatch):
    monkeypatch.setattr(train_module, "_train", lambda model, data, built, recipe_of, *_: (built, recipe_of(100)))
    train = partial(train_module.train_by_recipe, output=tmp_path)
    own = {"pretrained_cfg_overlay": dataset_statistics("cifar100")}
    assert train("gmconv_cifar_resnet20", "cifar100")[0] == {"pretrained": False, **own}
    assert train("gmconv_resnet18", "photos")[0] == {"pretrained": False, "zero_init_last": False}
    given = {"zero_init_last": True, "pretrained": True}
    assert train("gmconv_resnet18", "cifar100", model_options=given, recipe="finetune") == (given, FINETUNE)
    assert train("mobilenetv2_100", "photos", recipe="finetune") == (
        {"pretrained": False, "drop_rate": 0.2},
        FINETUNE_RANDOM,
    )
    assert train("mobilenetv2_100", "photos", recipe="resnet50")[1] == PAPER_RECIPES["resnet50"]
    tune = partial(train_module.finetune, "photos", "sgmconv_cifar_resnet20", output=tmp_path)
    assert tune(pretrained=False)[1] == finetuning_recipe(100, {}, random_start=True)
    assert tune(model_options={"pretrained": True})[1] == finetuning_recipe(100, {})
