"""Recorded runs: one row of a CSV file for every training, good or bad, with all that it takes to repeat it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from gmconv_zoo.classify.recipes import PAPER_RECIPES, Recipe, recipe_for
from gmconv_zoo.files.records import SUMMARY_NAME, read_results, read_rows, write_csv
from gmconv_zoo.models._names import net_of

__all__ = [
    "DEPTHWISE_NET",
    "RunRecord",
    "add_record",
    "base_recipe",
    "read_records",
    "record_of_folder",
    "recipe_changes",
    "write_records",
]

_Record = TypeVar("_Record")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One training.

    Attributes:
        model: timm's name of the network.
        options: of `timm.create_model`, e.g. {"sigma_init": 1.0}.
        dataset: the validation images, e.g. "CIFAR-10 test".
        train_images: size of the training subset; None for all images of the dataset.
        epochs: in all.
        changes: fields of the recipe that differ from `base_recipe`'s for this network, ``epochs`` aside.
        seed: of weights, order and augmentation.
        precision: "no" for float32, "bf16" or "fp16".
        status: "done", or why the run ended early.
        correct, count: validation images that are classified correctly after the last epoch, and all of them.
        top5: number of them whose class is among the first five.
        stem_spread: mean of a dynamic stem's two standard deviations of sigma over images, in kernel taps.
        stem_mask_spread: standard deviation over images of its mask value that varies most.
        stem_live: for each of its hidden units, the share of the images on which it is above 0, as text.
        sigmas: static sigmas in the order of the layers, in kernel taps, as text.
        seconds: spent training, without evaluation.
        device: GPU or processor; threads: of torch on a CPU.
        date, commit, gmconv_zoo, torch, timm: when, and with which code.
        compiled: "yes" for a run with `torch.compile`.
        masked_start: sigma of masks that the first kernels are multiplied by, of a network that has none itself.
    """

    model: str
    options: dict[str, Any]
    dataset: str
    train_images: int | None = None
    epochs: int
    changes: dict[str, Any]
    seed: int
    precision: str
    status: str = "done"
    correct: int | None = None
    top5: int | None = None
    count: int | None = None
    stem_spread: float | None = None
    stem_mask_spread: float | None = None
    stem_live: str = ""
    sigmas: str = ""
    seconds: float | None = None
    device: str = ""
    threads: int | None = None
    date: str = ""
    commit: str = ""
    gmconv_zoo: str = ""
    torch: str = ""
    timm: str = ""
    compiled: str = ""
    masked_start: float | None = None

    @property
    def key(self) -> str:
        """What makes it this run and no other."""
        return json.dumps([getattr(self, name) for name in _KEY], sort_keys=True)

    @property
    def recipe(self) -> Recipe:
        """The whole recipe."""
        return base_recipe(self.model).adapt(**{**self.changes, "epochs": self.epochs})

    @property
    def top1_percent(self) -> float | None:
        """Accuracy in percent; None for a run that ended early."""
        return None if self.correct is None or not self.count else 100 * self.correct / self.count


_KEY = ("model", "options", "dataset", "train_images", "epochs", "changes", "seed", "precision", "masked_start")
# Ends of the columns of summary.csv that are of a dynamic layer.
_DYNAMIC_COLUMNS = (".horizontal", ".vertical", "_spread", ".live")


# The network whose convolutions are depthwise; the paper does not train it.
DEPTHWISE_NET = "convnext_atto"
# Its recipe: what ConvNeXts are trained with, for a few epochs.
_DEPTHWISE = PAPER_RECIPES["cifar_resnet20"].adapt(
    optimizer="adamw",
    lr=0.002,
    weight_decay=0.05,
    sigma_weight_decay=0.0,
    decay_norm_and_bias=False,
    schedule="cosine",
    warmup_epochs=2.0,
)


def base_recipe(model: str) -> Recipe:
    """Return the recipe that the changes of a run are of: the paper's for a network, or that of the depthwise one."""
    return _DEPTHWISE if net_of(model) == DEPTHWISE_NET else recipe_for(model)


def recipe_changes(model: str, recipe: dict[str, Any]) -> dict[str, Any]:
    """Return the fields in which a recipe differs from the network's `base_recipe` of the same number of epochs."""
    usual = base_recipe(model).adapt(epochs=recipe["epochs"]).to_dict()
    unused = set() if model.startswith("gmconv_") else {"clip_sigma"}  # only a dynamic stem has a sigma module
    return {name: value for name, value in recipe.items() if value != usual[name] and name not in unused}


def record_of_folder(folder: str | Path, *, dataset: str = "") -> RunRecord:
    """Return the record of a finished run, from what training wrote into a folder.

    Without a name of the validation images, the run's own is taken.
    """
    try:
        results, last = read_results(folder), read_rows(Path(folder) / SUMMARY_NAME)[-1]
        score, recipe, environment = results["score"], results["recipe"], results["environment"]
    except (OSError, IndexError, KeyError, ValueError) as error:
        raise ValueError(f"{folder} holds no finished run ({error!r}): train it to its end first.") from error
    spreads = [float(last[name]) for name in last if name.endswith(("horizontal_spread", "vertical_spread"))]
    masks = [float(last[name]) for name in last if name.endswith(".mask_spread")]
    sigmas = [last[name] for name in last if name.startswith("sigma/") and not name.endswith(_DYNAMIC_COLUMNS)]
    return RunRecord(
        model=results["model"],
        options=results.get("model_options") or {},
        dataset=dataset or results["dataset"],
        epochs=recipe["epochs"],
        changes=recipe_changes(results["model"], recipe),
        seed=results["seed"],
        precision=results["precision"],
        correct=score["top1"],
        top5=score["top5"],
        count=score["count"],
        stem_spread=sum(spreads) / len(spreads) if spreads else None,
        stem_mask_spread=masks[0] if masks else None,
        stem_live=next((last[name] for name in last if name.endswith(".live")), ""),
        sigmas=" ".join(f"{float(sigma):.3g}" for sigma in sigmas),
        seconds=results["seconds"],
        date=results["date"],
        compiled="yes" if results.get("compiled") else "",
        **described_environment(environment),
    )


def described_environment(environment: dict[str, Any]) -> dict[str, Any]:
    """The columns that tell machine and versions, from `gmconv_zoo.files.records.environment`."""
    return {
        "device": environment.get("gpu") or f"{environment.get('processor')}, {environment.get('cores')} cores",
        "threads": None if environment.get("gpu") else environment.get("threads"),
        **{name: environment.get(name) or "" for name in ("commit", "gmconv_zoo", "torch", "timm")},
    }


def read_records(path: str | Path, kind: type[_Record]) -> list[_Record]:
    """Return the rows of a file as instances of a dataclass, in its order; none where there is no file yet."""
    hints, records = get_type_hints(kind), []
    for number, row in enumerate(read_rows(path) if Path(path).is_file() else (), start=2):
        try:
            if None in row or None in row.values():
                raise ValueError("it has another number of columns")
            records.append(kind(**{name: _parsed(hints[name], text) for name, text in row.items()}))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}, line {number}, is not a recorded run: {error}.") from error
    return records


def write_records(path: str | Path, records: Sequence[Any]) -> None:
    """Replace a file as a whole by instances of one dataclass, at least one."""
    names = [field.name for field in fields(records[0])]
    write_csv(path, [names, *([_written(getattr(record, name)) for name in names] for record in records)])


def add_record(path: str | Path, record: RunRecord) -> None:
    """Write a run into a file, in the place of an earlier record of the same run.

    The file is sorted, so that it does not depend on the order in which runs finished.
    """
    others = [other for other in read_records(path, RunRecord) if other.key != record.key]
    order = sorted([*others, record], key=lambda r: (r.dataset, r.epochs, r.model.split("_", 1)[::-1], r.key))
    write_records(path, order)


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True)
    return f"{value:.6g}" if isinstance(value, float) else value


def _parsed(hint: Any, text: str) -> Any:
    if get_origin(hint) is dict:
        return json.loads(text)
    if not text and type(None) in get_args(hint):
        return None
    return (get_args(hint) or (hint,))[0](text)
