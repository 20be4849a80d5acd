"""The comparisons that are trained for: which networks, from which settings, against what.

To add one, add an `Experiment` to `EXPERIMENTS`; `scripts/experiment.py` and the tables follow from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..classify.recipes import recipe_for
from .records import RunRecord, recipe_changes

__all__ = ["DATASETS", "EXPERIMENTS", "NETS", "Arm", "Experiment", "Run", "plan_runs"]

NETS = ("cifar_resnet20", "cifar_resnet56", "cifar_resnet18")
# Name on the command line -> what the held-out images are called in records
DATASETS = {"cifar10": "CIFAR-10 test", "cifar100": "CIFAR-100 test"}


@dataclass(frozen=True)
class Arm:
    """One side of a comparison.

    Attributes:
        label: what the table calls it.
        family: "stdconv", "sgmconv" or "gmconv".
        options: of `timm.create_model`.
        changes: of the paper's recipe.
    """

    label: str
    family: str
    options: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """Arms that are trained alike, with the same seeds.

    Attributes:
        title: what is compared; says so where the paper's experiment was another one.
        arms: in the order of the table.
        against: label of the arm that the others are compared with, seed by seed.
    """

    title: str
    arms: tuple[Arm, ...]
    against: str


_STD = Arm("standard", "stdconv")
_STATIC, _DYNAMIC = Arm("S-GMConv", "sgmconv"), Arm("GMConv", "gmconv")
_UNDECAYED = {"sigma_weight_decay": 0.0}

EXPERIMENTS: dict[str, Experiment] = {
    "table1": Experiment("Networks of Table I", (_STD, _STATIC, _DYNAMIC), "standard"),
    "fig6": Experiment(
        "Initial sigma of S-GMConv (Fig. 6)",
        (
            Arm("sigma 1", "sgmconv", {"sigma_init": 1.0}),
            Arm("sigma 5", "sgmconv"),
            Arm("sigma 10", "sgmconv", {"sigma_init": 10.0}),
        ),
        "sigma 5",
    ),
    "table4": Experiment(
        "What the dynamic stem predicts (designs of Table IV; the paper's own are on ImageNet)",
        (
            _STD,
            Arm("one sigma", "gmconv", {"sigma_design": "single"}),
            Arm("sigma1 and sigma2", "gmconv", {"sigma_design": "pair"}),
            Arm("sigma1 and sigma2 / sigma1", "gmconv"),
        ),
        "standard",
    ),
    "sigma-decay": Experiment(
        "Weight decay on S-GMConv's sigmas, which the paper leaves open",
        (Arm("decayed like weights", "sgmconv"), Arm("not decayed", "sgmconv", {}, _UNDECAYED)),
        "decayed like weights",
    ),
    "sigma-decay-dynamic": Experiment(
        "Weight decay on GMConv's sigmas, which the paper leaves open",
        (Arm("decayed like weights", "gmconv"), Arm("not decayed", "gmconv", {}, _UNDECAYED)),
        "decayed like weights",
    ),
}


@dataclass(frozen=True)
class Run:
    """One training that is planned.

    Attributes:
        model, options, changes, seed: as in `RunRecord`.
        dataset: a key of `DATASETS`.
        epochs: None for the recipe's own number.
    """

    model: str
    options: dict[str, Any]
    changes: dict[str, Any]
    dataset: str
    seed: int
    epochs: int | None = None

    @property
    def overrides(self) -> dict[str, Any]:
        """What is changed of the paper's recipe."""
        return self.changes if self.epochs is None else {**self.changes, "epochs": self.epochs}

    @property
    def name(self) -> str:
        """A folder's name."""
        settings = [f"{key}={value}" for key, value in sorted({**self.options, **self.changes}.items())]
        epochs = recipe_for(self.model).epochs if self.epochs is None else self.epochs
        return "-".join([self.dataset, self.model, *settings, f"{epochs}epochs", f"seed{self.seed}"])

    def record(self, precision: str, **outcome: Any) -> RunRecord:
        """The row for a run in some precision."""
        recipe = recipe_for(self.model).adapt(**self.overrides)
        return RunRecord(
            model=self.model,
            options=self.options,
            dataset=DATASETS[self.dataset],
            epochs=recipe.epochs,
            changes=recipe_changes(self.model, recipe.to_dict()),
            seed=self.seed,
            precision=precision,
            **outcome,
        )


def plan_runs(
    experiments: Sequence[str],
    *,
    nets: Sequence[str] = ("cifar_resnet20",),
    datasets: Sequence[str] = ("cifar10",),
    seeds: Sequence[int] = (0, 1, 2),
    epochs: int | None = None,
    changes: dict[str, Any] | None = None,
) -> list[Run]:
    """Every run that some experiments need, each once, in an order that finishes whole seeds first.

    Args:
        experiments: keys of `EXPERIMENTS`.
        nets: of `NETS`.
        datasets: keys of `DATASETS`.
        seeds: the same for every arm.
        epochs: None for the paper's recipes.
        changes: further fields of the recipe, for every arm.

    Raises:
        ValueError: for a name or number that is none, saying what there is.
    """
    for what, given, known in (
        ("experiment", experiments, EXPERIMENTS),
        ("net", nets, NETS),
        ("set", datasets, DATASETS),
    ):
        if unknown := [name for name in given if name not in known]:
            raise ValueError(f"{what} {unknown[0]!r}: pass one or more of {', '.join(known)}.")
        if not given:
            raise ValueError(f"no {what}: pass one or more of {', '.join(known)}.")
    if not seeds or min(seeds) < 0:
        raise ValueError(f"seeds={list(seeds)}: pass whole numbers of at least 0.")
    runs: dict[str, Run] = {}
    for dataset in datasets:
        for net in nets:
            for seed in seeds:
                for arm in (arm for name in experiments for arm in EXPERIMENTS[name].arms):
                    wanted = {**(changes or {}), **arm.changes}
                    run = Run(f"{arm.family}_{net}", arm.options, wanted, dataset, seed, epochs)
                    runs.setdefault(run.record("no").key, run)
    return list(runs.values())
