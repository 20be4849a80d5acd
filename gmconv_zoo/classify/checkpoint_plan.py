"""What a classifier's training keeps on disk, and whether it goes on from there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engine.checkpoint import LAST_NAME, Checkpoints
from ..engine.loop import TrainState
from ..engine.records import write_json

__all__ = ["CHECKPOINTS_FOLDER", "RECIPE_NAME", "CheckpointPlan", "open_checkpoints", "refuse_earlier_run"]

CHECKPOINTS_FOLDER, RECIPE_NAME = "checkpoints", "recipe.json"


@dataclass(frozen=True, kw_only=True)
class CheckpointPlan:
    """How checkpoints are kept: always the last and the best by validation top-1.

    Attributes:
        resume: go on from the output folder's last checkpoint where there is one. Without, a folder that has one is
            refused rather than overwritten.
        every: also write the last one after so many optimizer updates within an epoch; None for epochs only.
        end_with_best: the network ends with the best epoch's weights, not the last one's.
    """

    resume: bool = False
    every: int | None = None
    end_with_best: bool = False


def refuse_earlier_run(output: str | Path, *, resume: bool) -> None:
    """See to it that no earlier run's checkpoint is overwritten.

    Raises:
        ValueError: when the folder holds a checkpoint and the run is not to go on from it.
    """
    path = Path(output) / CHECKPOINTS_FOLDER / LAST_NAME
    if path.is_file() and not resume:
        raise ValueError(f"{path} is from an earlier run: pass resume (--resume) to go on from it, or another output.")


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
    refuse_earlier_run(output, resume=plan.resume)
    folder = Path(output) / CHECKPOINTS_FOLDER
    writer = Checkpoints(folder, identity, every=plan.every, best="val_top1")
    writer.resume(state)
    if state.accelerator.is_main_process:
        write_json(Path(output) / RECIPE_NAME, identity["recipe"])
    return writer
