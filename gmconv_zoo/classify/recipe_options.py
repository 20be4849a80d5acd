"""Command-line options of training: those every command has, and every field of a recipe."""

import argparse
import ast
from dataclasses import fields
from typing import Any, get_args, get_type_hints

from ..data.streams import StreamOptions
from .recipes import Recipe

__all__ = [
    "add_column_options",
    "add_recipe_options",
    "add_run_options",
    "add_split_options",
    "add_stream_options",
    "key_value",
    "recipe_overrides",
    "stream_options",
]


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser what every training command has beside its recipe, from resuming to precision."""
    parser.add_argument("--resume", action="store_true", help="go on from the output's last checkpoint, if any")
    parser.add_argument("--save-every", type=int, metavar="N", help="also save after N updates within an epoch")
    parser.add_argument("--skip-bad", action="store_true", help="leave out images that cannot be read")
    parser.add_argument("--memory-gb", type=float, default=2.0, help="most memory for decoded images (%(default)s)")
    parser.add_argument("--freeze-backbone", action="store_true", help="train the classifier alone (linear probing)")
    parser.add_argument("--freeze", nargs="+", default=(), metavar="PART", help='left as it is: "layer1", "*.sigma"')
    parser.add_argument("--precision", default="no", choices=("no", "bf16", "fp16"), help="mixed precision")
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    parser.add_argument("--accumulate", type=int, default=1, metavar="N", help="batches per update (%(default)s)")


def add_split_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser the splits of sets that have names for them."""
    parser.add_argument("--train-split", metavar="SPLIT", help="of a set that has names for its splits (train)")
    parser.add_argument("--val-split", metavar="SPLIT", help="of the same (validation or, by Hugging Face, test)")
    add_column_options(parser)


def add_column_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser the columns of Hugging Face datasets."""
    parser.add_argument(
        "--image-column", metavar="NAME", help="images of a Hugging Face dataset (found by its features)"
    )
    parser.add_argument(
        "--label-column", metavar="NAME", help="labels of a Hugging Face dataset (found by its features)"
    )


def add_stream_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser the other fields of `StreamOptions`."""
    group = parser.add_argument_group("streams", "what wds/NAME or hfids/NAME does not say of itself")
    group.add_argument("--train-count", type=int, metavar="N", help="images to train on")
    group.add_argument("--val-count", type=int, metavar="N", help="images held out")
    group.add_argument("--classes", metavar="N|FILE", help="how many classes, or a file with a name per line")


def stream_options(args: argparse.Namespace) -> StreamOptions:
    """The streams' options that were given on the command line."""
    return StreamOptions(**{field.name: getattr(args, field.name) for field in fields(StreamOptions)})


def key_value(text: str) -> tuple[str, Any]:
    """A command line's ``KEY=VALUE``; the value is a Python literal where it is one, and a word elsewhere."""
    key, equals, value = text.partition("=")
    if not key.isidentifier() or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    try:
        return key, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return key, value


def add_recipe_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each field, e.g. ``--weight-decay``, ``--milestones 80 120``, ``--flip`` and ``--no-flip``.

    Args:
        parser: options that are not given leave no trace in what it parses.
    """
    group = parser.add_argument_group("recipe", "fields of the recipe; what is not given stays as the recipe has it")
    hints = get_type_hints(Recipe)
    for field in fields(Recipe):
        option = f"--{field.name.replace('_', '-')}"
        kinds = [kind for kind in get_args(hints[field.name]) or (hints[field.name],) if kind is not type(None)]
        settings: dict[str, Any] = {"default": argparse.SUPPRESS, "dest": field.name}
        if kinds[0] is bool:
            group.add_argument(option, action=argparse.BooleanOptionalAction, **settings)
        elif Ellipsis in kinds:
            group.add_argument(option, type=int, nargs="*", metavar="N", **settings)
        else:
            optional = type(None) in get_args(hints[field.name])
            metavar = f"{kinds[0].__name__.upper()}{'|none' if optional else ''}"
            group.add_argument(option, type=_or_none(kinds[0]) if optional else kinds[0], metavar=metavar, **settings)


def recipe_overrides(args: argparse.Namespace) -> dict[str, Any]:
    """The fields that were given on the command line."""
    given = vars(args)
    found = {field.name: given[field.name] for field in fields(Recipe) if field.name in given}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def _or_none(kind: Any) -> Any:
    def parse(text: str) -> Any:
        return None if text.lower() == "none" else kind(text)

    parse.__name__ = kind.__name__  # argparse names it in its messages
    return parse
