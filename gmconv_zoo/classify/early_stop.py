"""An end to training when validation accuracy no longer rises."""

from typing import Any

from ..engine.loop import TrainState

__all__ = ["EarlyStop", "best_row"]


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
