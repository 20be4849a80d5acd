"""What a classifier's training keeps on disk, whether it goes on from there, and when it stops early."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engine.checkpoint import LAST_NAME, Checkpoints
from ..engine.loop import TrainState
from ..engine.records import RESULTS_NAME, SUMMARY_NAME, write_json
from ..saving import CONFIG_NAME, WEIGHTS_NAME
from ..saving.targets import check_target

__all__ = [
    "CHECKPOINTS_FOLDER",
    "RECIPE_NAME",
    "CheckpointPlan",
    "EarlyStop",
    "best_row",
    "check_run_folder",
    "open_checkpoints",
]

CHECKPOINTS_FOLDER, RECIPE_NAME = "checkpoints", "recipe.json"
# Everything that training and finetuning write into their output folder.
_RUN_FILES = frozenset(
    [
        *(CHECKPOINTS_FOLDER, RECIPE_NAME, SUMMARY_NAME, RESULTS_NAME, CONFIG_NAME, WEIGHTS_NAME),
        *("curves.png", "classes.csv", "classes.png", "confusion.csv", "confusion.png"),
    ]
)


@dataclass(frozen=True, kw_only=True)
class CheckpointPlan:
    """Which checkpoints are written: always the last one and the best one by validation top-1.

    Attributes:
        resume: go on from the last checkpoint in the output folder, if there is one. Without it, a folder that has a
            checkpoint is refused.
        every: also write the last checkpoint after this many optimizer updates within an epoch; None for epochs only.
        overwrite: start again in a folder that has a checkpoint, which is replaced at the end of the first epoch.
        end_with_best: the network ends with the best epoch's weights, not the last one's.
    """

    resume: bool = False
    every: int | None = None
    overwrite: bool = False
    end_with_best: bool = False


def check_run_folder(output: str | Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse an output folder in which a run would replace an earlier run, a network or other files.

    Args:
        output: folder of the run; it need not exist.
        resume: go on from the checkpoint in the folder, if there is one; the folder is then this run's own.
        overwrite: replace the earlier run or network; files of other names stay.

    Raises:
        ValueError: when the folder may not be written to, or both options are passed.
    """
    if resume and overwrite:
        raise ValueError("resume (--resume) and overwrite (--overwrite) exclude each other: pass one of them.")
    path = Path(output) / CHECKPOINTS_FOLDER / LAST_NAME
    if not path.is_file():
        check_target(output, writes=_RUN_FILES, overwrite=overwrite)
    elif not resume and not overwrite:
        raise ValueError(
            f"{path} is from an earlier run. Pass resume (--resume) to continue it, overwrite (--overwrite) to "
            "replace it, or choose another output (--output)."
        )


def open_checkpoints(
    plan: CheckpointPlan, state: TrainState, output: str | Path | None, identity: dict[str, Any]
) -> Checkpoints:
    """The writer of a run's checkpoints, once the state is where the last one left it.

    Args:
        plan: whether to resume and how often to write.
        state: freshly prepared.
        output: folder of the run; its recipe is written there too.
        identity: JSON-ready settings, with a "recipe".

    Raises:
        ValueError: without an output folder, for one that cannot be written, or whose checkpoint is another run's
            or not to be resumed. Nothing was changed then.
    """
    if output is None:
        raise ValueError("checkpoints need an output folder: pass output.")
    check_run_folder(output, resume=plan.resume, overwrite=plan.overwrite)
    folder = Path(output) / CHECKPOINTS_FOLDER
    writer = Checkpoints(folder, identity, every=plan.every, best="val_top1")
    if plan.resume:
        writer.resume(state)
    if state.accelerator.is_main_process:
        write_json(Path(output) / RECIPE_NAME, identity["recipe"])
    return writer


class EarlyStop:
    """An epoch callback, to be called once the row is in ``state.rows``, from which alone it decides.

    Args:
        patience: epochs without a new best after which the run stops.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def __call__(self, state: TrainState, row: dict[str, Any]) -> None:
        if "val_top1" not in row:
            return
        state.stop = state.stop or row["epoch"] - best_row(state.rows)["epoch"] >= self.patience


def best_row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The first of the rows with the highest validation top-1."""
    return max((row for row in rows if "val_top1" in row), key=lambda row: row["val_top1"])
