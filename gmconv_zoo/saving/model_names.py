"""Names of models and other things that a user may misspell: what was meant, and what there is."""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

import timm
from timm.models import get_pretrained_cfg, is_model, split_model_name_tag

__all__ = ["check_model_name", "did_you_mean", "is_timm_name"]

_HUB_ID = re.compile(r"(hf-hub:)?[\w.-]+/[\w.-]+(@[\w./-]+)?")


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A sentence that suggests the names nearest to one, with a space before it; empty where none is near."""
    near = difflib.get_close_matches(name, list(names), n=4, cutoff=0.6)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def is_timm_name(name: str) -> bool:
    """Whether a name is one of timm's, with or without a tag. A folder comes before a model of the same name."""
    return bool(is_model(split_model_name_tag(name)[0])) and not Path(name).is_dir()


def check_model_name(name: str) -> None:
    """See to it that a name can be one of a network: a folder, a model that timm knows, or a Hub repository.

    Args:
        name: as `open_model` takes it.

    Raises:
        ValueError: for a name that is none of these, naming those near it, or a tag that the model does not have,
            listing its tags.
    """
    if is_timm_name(name):
        model, tag = split_model_name_tag(name)
        try:
            get_pretrained_cfg(name)
        except RuntimeError as error:  # the tag is wrong
            tags = timm.list_pretrained(f"{model}.*")
            there = f"pass one of {', '.join(tags)}" if tags else "it has no pretrained weights"
            raise ValueError(f"{name}: {model} has no tag {tag!r}: {there}, or leave the tag out.") from error
    elif not Path(name.removeprefix("local-dir:")).is_dir() and not _HUB_ID.fullmatch(name):
        raise ValueError(
            f"{name!r} is not a folder, a model that timm knows, or a Hub repository (ORG/NAME)."
            f"{did_you_mean(split_model_name_tag(name)[0], timm.list_models())} "
            'timm.list_models("*gmconv*") lists the models of gmconv_zoo.'
        )
