"""Command-line options of training, and what the commands that train do with them."""

import argparse
import ast
import inspect
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ..classify.recipes import Recipe
from ..engine.optim import TrainSettings
from .common import PRECISION, adder


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser what every training command has beside its recipe, from resuming to precision."""
    add = adder(parser.add_argument_group("run"))
    add("--seed", type=int, default=0, help="seed of weights, split, order and augmentation")
    add("--resume", action="store_true", help="continue from the last checkpoint in the output folder, if there is one")
    add("--overwrite", action="store_true", help="replace a run or network that the output folder contains")
    add("--save-every", type=int, metavar="N", help="also save after every N updates (default: after epochs only)")
    add = adder(parser.add_argument_group("device"))
    add("--precision", **PRECISION)
    add("--accumulate", type=int, default=1, metavar="N", help="divide batches into N parts")


def add_classifier_options(parser: argparse.ArgumentParser, recipe: Recipe | None = None) -> None:
    """Give a parser everything that both commands that train classifiers have; see `add_recipe_options`."""
    add_model_options(parser)
    add = adder(parser.add_argument_group("data"))
    add("--data-dir", help="folder that holds a named dataset or receives its download (default: none)")
    add("--skip-bad", action="store_true", help="leave out images that cannot be read")
    add("--train-split", metavar="SPLIT", help="training split of a dataset with named splits (default: train)")
    add("--val-split", metavar="SPLIT", help="validation split of such a dataset (default: validation, or else test)")
    add_column_options(parser)
    add_run_options(parser)
    add = adder(parser.add_argument_group("classifier"))
    add("--image-size", type=int, metavar="PIXELS", help="side of the images (default: the network's own)")
    add("--freeze-backbone", action="store_true", help="train the classifier alone (linear probing)")
    frozen = 'modules or patterns of parameters that are not trained, e.g. layer1 "*.sigma" (default: none)'
    add("--freeze", nargs="+", default=(), metavar="PART", help=frozen)
    add("--compile", action="store_true", help="use torch.compile")
    add("--memory-gb", type=float, default=2.0, help="largest memory for decoded images, in GB")
    add_recipe_options(parser, recipe)


def add_model_options(
    parser: argparse.ArgumentParser, function: str = "timm.create_model", example: str = "sigma_init=kernel"
) -> None:
    """Give a parser the arguments of the function that builds the network."""
    described = f"arguments of {function}, e.g. {example} (default: none)"
    parser.add_argument("--model-options", nargs="*", type=key_value, default=(), metavar="KEY=VALUE", help=described)


def add_column_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser the columns of Hugging Face datasets."""
    for kind in ("image", "label"):
        described = f"{kind} column of a Hugging Face dataset (default: found by the features)"
        parser.add_argument(f"--{kind}-column", metavar="NAME", help=described)


def key_value(text: str) -> tuple[str, Any]:
    """A command line's ``KEY=VALUE``; the value is a Python literal where it is one, and a word elsewhere."""
    key, equals, value = text.partition("=")
    if not key.isidentifier() or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    try:
        return key, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return key, value


def add_recipe_options(parser: argparse.ArgumentParser, recipe: TrainSettings | None = None) -> None:
    """Add an option for each field, e.g. ``--weight-decay``, ``--milestones 80 120``, ``--flip`` and ``--no-flip``.

    The help shows the recipe's values as defaults; without a recipe, those of a classifier depend on the network.
    """
    group = parser.add_argument_group("recipe", None if recipe else "default: what the recipe of the network says")
    kind: type[TrainSettings] = Recipe if recipe is None else type(recipe)
    names = [field.name for field in fields(kind)]
    add_field_options(group, kind, names, {} if recipe is None else {n: _shown(getattr(recipe, n)) for n in names})


def add_field_options(group: Any, kind: Any, names: Iterable[str], defaults: Mapping[str, str]) -> None:
    """Add an option for each of some fields of a dataclass; one that is not given leaves no trace in what is parsed.

    The field's type decides what is parsed, the class's docstring and the defaults are the help.
    """
    hints, described = get_type_hints(kind), _described_fields(kind)
    for name in names:
        optional = type(None) in get_args(hints[name])
        hint = next(part for part in get_args(hints[name]) if part is not type(None)) if optional else hints[name]
        default = f" (default: {defaults[name]})" if name in defaults else ""
        settings: dict[str, Any] = {"default": argparse.SUPPRESS, "dest": name, "help": described[name] + default}
        if hint is bool:
            settings["action"] = argparse.BooleanOptionalAction
        elif get_origin(hint) is Literal:
            settings["choices"] = get_args(hint)
        elif get_origin(hint) is tuple:
            settings |= {"type": get_args(hint)[0], "nargs": "*", "metavar": "N"}
        else:
            settings["metavar"] = f"{hint.__name__.upper()}{'|none' if optional else ''}"
            settings["type"] = _or_none(hint) if optional else hint
        group.add_argument(f"--{name.replace('_', '-')}", **settings)


def _described_fields(settings: type) -> dict[str, str]:
    """What the docstrings of a dataclass say about its fields."""
    found: dict[str, str] = {}
    for kind in settings.__mro__:
        attributes = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2].partition("\n\n")[0]
        for names, text in re.findall(r"^    ([\w, ]+): (.+(?:\n     .+)*)", attributes, re.MULTILINE):
            plain = " ".join(text.replace("`", "").replace("%", "%%").split()).rstrip(".")
            found |= {name: plain for name in names.split(", ") if name not in found}
    return found


def _shown(value: Any) -> str:
    return {None: "none", (): "none"}.get(value, " ".join(map(str, value)) if isinstance(value, tuple) else str(value))


def recipe_overrides(args: argparse.Namespace, recipe: type[TrainSettings] = Recipe) -> dict[str, Any]:
    """The fields of a recipe that were given on the command line."""
    given = vars(args)
    found = {field.name: given[field.name] for field in fields(recipe) if field.name in given}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def _or_none(kind: Any) -> Any:
    def parse(text: str) -> Any:
        return None if text.lower() == "none" else kind(text)

    parse.__name__ = kind.__name__  # argparse names it in its messages
    return parse


@contextmanager
def training(args: argparse.Namespace, *own: str, recipe: type[TrainSettings] = Recipe) -> Iterator[dict[str, Any]]:
    """Wrap a training, which is given its arguments from the options, except those that the command takes itself."""
    from ..engine.fit import default_accelerator

    accelerator = default_accelerator(
        mixed_precision=args.precision,
        compile=getattr(args, "compile", False),
        gradient_accumulation_steps=args.accumulate,
    )
    logging.basicConfig(format="%(message)s", level=logging.INFO if accelerator.is_main_process else logging.ERROR)
    for library in ("accelerate", "timm"):  # timm would print the path of its checkpoint and expected missing keys
        logging.getLogger(library).setLevel(logging.WARNING)
    with interruptible(args.output, accelerator.num_processes):
        taken = {*own, "precision", "accumulate", "compile", *(field.name for field in fields(recipe))}
        options = {name: value for name, value in vars(args).items() if name not in taken}
        options |= {"overrides": recipe_overrides(args, recipe), "model_options": dict(args.model_options)}
        yield {**options, "accelerator": accelerator, "say": accelerator.print}
    accelerator.end_training()


@contextmanager
def interruptible(output: str | Path, processes: int = 1) -> Iterator[None]:
    """Run the training of a command, and say how to continue after an interrupt or the loss of another process.

    The messages of `KeyboardInterrupt` and, in one of several processes, of `RuntimeError` then name the checkpoint.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted. {_how_to_continue(output)}") from None
    except RuntimeError as error:
        if processes == 1:
            raise
        said = "If another process of this run failed or was killed, its own messages say why."
        raise RuntimeError(f"{error}\n{said} {_how_to_continue(output)}") from error


def _how_to_continue(output: str | Path) -> str:
    from ..engine.checkpoint import CHECKPOINTS_FOLDER, LAST_NAME

    checkpoint = Path(output, CHECKPOINTS_FOLDER, LAST_NAME)
    if not checkpoint.is_file():
        return "No checkpoint has been saved: start again."
    return f"{checkpoint} is saved: pass --resume to continue from it."
