import math
from itertools import pairwise

import pytest
import timm
import torch

from gmconv_zoo.engine.optim import TrainSettings, build_optimizer, build_scheduler
from gmconv_zoo.layers import SGMConv2d

from .nets import tiny_net


def settings_of(**values) -> TrainSettings:
    return TrainSettings(**{"batch_size": 8, **values})


def learning_rates(settings: TrainSettings, updates_per_epoch: int, group: int = 0) -> list[float]:
    """The rate that each update of the whole run is made with."""
    optimizer = build_optimizer(tiny_net(), settings)
    scheduler = build_scheduler(optimizer, settings, updates_per_epoch=updates_per_epoch)
    rates = []
    for update in range(settings.epochs * updates_per_epoch):
        rates.append(optimizer.param_groups[group]["lr"])
        scheduler.step_update(update + 1)
    return rates


STEPS = [0.98 ** (update // 2) for update in range(8)]
COSINE = [(1 + math.cos(math.pi * update / 8)) / 2 for update in range(8)]
WARMED = [0, 1 / 3, 2 / 3, 1, 1, 1]


@pytest.mark.parametrize(
    ("settings", "updates_per_epoch", "expected"),
    [
        ({"epochs": 6, "schedule": "multistep", "milestones": (2, 4)}, 3, [1.0] * 6 + [0.1] * 6 + [0.01] * 6),
        ({"epochs": 4, "schedule": "step", "decay_epochs": 1, "decay_rate": 0.98}, 2, STEPS),
        ({"epochs": 2, "schedule": "constant"}, 3, [1.0] * 6),
        ({"epochs": 4, "schedule": "cosine"}, 2, COSINE),
        ({"epochs": 2, "schedule": "cosine", "warmup_epochs": 0.5}, 4, [0, 0.5, *COSINE[2:]]),
        ({"epochs": 3, "schedule": "constant", "warmup_epochs": 1.5}, 2, WARMED),
        ({"epochs": 3, "schedule": "step", "decay_epochs": 9, "warmup_epochs": 1.5}, 2, WARMED),
    ],
)
def test_rate_of_every_update_is_the_schedules(settings, updates_per_epoch, expected):
    assert learning_rates(settings_of(lr=1.0, **settings), updates_per_epoch) == pytest.approx(expected)


def test_schedule_keeps_the_scale_of_the_sigma_group():
    settings = settings_of(epochs=5, lr=0.1, sigma_lr_scale=7.0, schedule="cosine", warmup_epochs=1)
    plain, sigma = learning_rates(settings, 4, group=0), learning_rates(settings, 4, group=-1)
    assert sigma == pytest.approx([7 * rate for rate in plain])


@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_sigma_without_gradient_decays_as_its_own_setting_says(decay):
    layer = SGMConv2d(2, 2, 3)
    settings = settings_of(
        epochs=1, lr=0.1, momentum=0.0, weight_decay=0.5, sigma_weight_decay=decay, sigma_lr_scale=2.0,
        schedule="constant",
    )  # fmt: skip
    optimizer = build_optimizer(layer, settings)
    for _ in range(10):
        layer.sigma.grad = torch.zeros_like(layer.sigma)
        optimizer.step()
    assert layer.sigma.item() == pytest.approx(5.0 * (1 - 0.1 * 2.0 * decay) ** 10, rel=1e-6)


def test_momentum_is_not_nesterov_and_norms_are_not_decayed_unless_asked_for():
    plain = build_optimizer(tiny_net(), settings_of(epochs=1, lr=0.1, momentum=0.8, sigma_weight_decay=0.2))
    nesterov = build_optimizer(tiny_net(), settings_of(epochs=1, lr=0.1, optimizer="sgd"))
    assert isinstance(plain, torch.optim.SGD)
    assert {(group["nesterov"], group["momentum"]) for group in plain.param_groups} == {(False, 0.8)}
    assert nesterov.param_groups[0]["nesterov"]
    decays = {group["name"]: group["weight_decay"] for group in plain.param_groups}
    assert decays == {"decay": 1e-4, "no_decay": 0.0, "sigma": 0.2}
    all_decayed = build_optimizer(tiny_net(), settings_of(epochs=1, lr=0.1, decay_norm_and_bias=True))
    assert [group["name"] for group in all_decayed.param_groups] == ["decay", "sigma"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"epochs": 2.5}, "epochs=2.5"),
        ({"lr": -1.0}, "lr=-1.0"),
        ({"lr": float("nan")}, "lr=nan"),
        ({"sigma_lr_scale": -1}, "sigma_lr_scale=-1"),
        ({"momentum": 1.0}, "momentum=1.0"),
        ({"decay_rate": 0.0}, "decay_rate=0.0"),
        ({"clip_grad": 0.0}, "clip_grad=0.0"),
        ({"schedule": "linear"}, "schedule='linear'"),
        ({"schedule": "multistep"}, "needs milestones"),
        ({"milestones": (3,)}, "needs milestones"),
        ({"schedule": "multistep", "milestones": (4, 2)}, "rising"),
        ({"warmup_epochs": 10}, "must be below epochs=10"),
        ({"optimizer": "Lookahead_AdaHessian"}, "'Lookahead_AdaHessian' needs second derivatives"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(values, message):
    with pytest.raises(ValueError, match=message):
        settings_of(**{"epochs": 10, "lr": 0.1, **values})


@pytest.mark.skipif(torch.cuda.is_available(), reason="the optimizer needs a GPU")
def test_an_optimizer_that_needs_what_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"optimizer='fusedadam' cannot be used here \(.*CUDA.*\): pass another one"):
        build_optimizer(tiny_net(), settings_of(epochs=1, lr=0.1, optimizer="fusedadam"))


def test_layer_decay_takes_the_same_part_of_every_next_layer_and_keeps_the_sigmas_apart():
    net = timm.create_model("gmconv_cifar_resnet20", num_classes=3)
    settings = settings_of(epochs=2, lr=0.1, sigma_lr_scale=2.0, layer_decay=0.5, schedule="constant")
    optimizer = build_optimizer(net, settings)
    build_scheduler(optimizer, settings, updates_per_epoch=5)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert len(rates) == len(list(net.parameters()))
    assert rates[id(net.fc.weight)] == pytest.approx(0.1)
    last = net.layer3[-1].conv2
    assert rates[id(last.sigma)] == pytest.approx(2 * rates[id(last.weight)])
    blocks = [rates[id(block.conv1.weight)] for layer in (net.layer1, net.layer2, net.layer3) for block in layer]
    assert [later / earlier for earlier, later in pairwise([rates[id(net.conv1.weight)], *blocks])] == [2.0] * 9


def test_limits_of_the_settings_are_allowed():
    settings = settings_of(
        epochs=1, lr=0.0, momentum=0.0, weight_decay=0.0, sigma_lr_scale=0.0, decay_rate=1.0, layer_decay=1.0,
        decay_epochs=1, warmup_epochs=0,
    )  # fmt: skip
    assert {group["weight_decay"] for group in build_optimizer(tiny_net(), settings).param_groups} == {0.0}
    assert settings_of(epochs=5, lr=1.0, schedule="multistep", milestones=[1, 2]).milestones == (1, 2)
