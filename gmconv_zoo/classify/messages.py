"""Messages of a training before it starts, when it is interrupted and at its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from timm.data import resolve_model_data_config
from torch import nn

from ..engine.checkpoint import CHECKPOINTS_FOLDER, LAST_NAME
from ..engine.extras import needs_extra
from ..saving import loading_call
from .recipes import Recipe

with needs_extra("train"):
    from accelerate import Accelerator

__all__ = ["closing_lines", "interruptible", "starting_line"]


def starting_line(model: str, net: nn.Module, recipe: Recipe, accelerator: Accelerator) -> str:
    """Describe a training before it starts: network, images, recipe and device.

    Args:
        model: the name that the user gave.
        net: the network.
        recipe: recipe of the training.
        accelerator: device, precision, processes and batches per update.
    """
    height, width = resolve_model_data_config(net)["input_size"][1:]
    parts, processes = accelerator.gradient_accumulation_steps, accelerator.num_processes
    divided = f" ({parts} parts)" if parts > 1 else ""
    shared = f", {processes} processes" if processes > 1 else ""
    precision = {"no": "float32"}.get(accelerator.mixed_precision, accelerator.mixed_precision)
    return (
        f"{model}: image size {height}x{width}, batch size {recipe.batch_size}{divided}, learning rate {recipe.lr:g} "
        f"({recipe.optimizer}, {recipe.schedule}), epochs {recipe.epochs}, device {accelerator.device}{shared}, "
        f"precision {precision}"
    )


def closing_lines(output: Path) -> str:
    """Return lines that name the files of a finished training and the commands that use them."""
    pictures = ", ".join(str(path) for path in sorted(output.glob("*.png")))
    return (
        f"pictures: {pictures}\n"
        f"classify images: gmconv predict {output} IMAGES\n"
        f"evaluate: gmconv validate DATA --model {output}\n"
        f"report: gmconv report {output} --data DATA\n"
        f"publish: gmconv publish {output} --repo ORG/NAME\n"
        f"load: {loading_call(output)}"
    )


@contextmanager
def interruptible(output: str | Path, processes: int = 1) -> Iterator[None]:
    """Run the training of a command, and say how to go on after an interrupt or the loss of another process.

    Args:
        output: folder of the checkpoints.
        processes: number of processes of the run.

    Raises:
        KeyboardInterrupt: after Ctrl-C; its message names the saved checkpoint and how to continue.
        RuntimeError: in one of several processes; its message ends with the same.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted. {_how_to_go_on(output)}") from None
    except RuntimeError as error:
        if processes == 1:
            raise
        said = "If another process of this run failed or was killed, its own messages say why."
        raise RuntimeError(f"{error}\n{said} {_how_to_go_on(output)}") from error


def _how_to_go_on(output: str | Path) -> str:
    checkpoint = Path(output, CHECKPOINTS_FOLDER, LAST_NAME)
    if not checkpoint.is_file():
        return "No checkpoint has been saved: start again."
    return f"{checkpoint} is saved: pass --resume to go on from it."
