"""Models by whatever name a user has for them: a timm name, a folder, a repository on the Hub; and what was meant."""

import difflib
import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import timm
from huggingface_hub import hf_hub_download, snapshot_download
from safetensors import SafetensorError
from timm.models import get_pretrained_cfg, is_model, load_state_dict, split_model_name_tag
from torch import Tensor, nn

from .config import CONFIG_NAME, WEIGHTS_NAME
from .folder import load

__all__ = [
    "check_model_name",
    "did_you_mean",
    "hub_file",
    "is_timm_name",
    "lasting_name",
    "naming_load_errors",
    "open_model",
    "read_tensors",
    "with_weights",
]

_HUB_PREFIX = "hf-hub:"


def open_model(name: str, *, pretrained: bool = True, weights: str | Path | None = None) -> nn.Module:
    """Build a network with its trained weights.

    Args:
        name: a name timm knows ("gmconv_resnet18.from_tv_in1k"), a folder that `gmconv_zoo.save` wrote, or a Hub
            repository ("ORG/NAME", "hf-hub:ORG/NAME", either with "@REVISION"). A folder comes before a repository
            of the same name.
        pretrained: False for the initial weights of a name that timm knows.
        weights: file of your own with weights for a name that timm knows, see `with_weights`; None for its own weights.

    Returns:
        The network in eval mode, on the CPU.

    Raises:
        ValueError: if the name is none of these, or is not timm's although a file is given.
        RuntimeError: if the weights cannot be loaded or do not fit.
    """
    own = {} if weights is None else with_weights(name, weights)
    if Path(name.removeprefix("local-dir:")).is_dir():
        return load(name.removeprefix("local-dir:"))
    check_model_name(name)
    with naming_load_errors(name):
        if is_timm_name(name):
            return timm.create_model(name, **{"pretrained": pretrained, **own}).eval()
        return _from_hub(name.removeprefix(_HUB_PREFIX))


@contextmanager
def naming_load_errors(name: str) -> Iterator[None]:
    """Turn errors of loading weights, whichever library raises them, into a RuntimeError that says what to do.

    Errors of the network and of the arguments pass.
    """
    try:
        yield
    except (TypeError, ValueError):
        raise
    except RuntimeError as error:
        said, _, more = str(error).partition("\n")
        if not said.startswith("Error(s) in loading state_dict"):
            raise
        first = textwrap.shorten(more, 200, placeholder=" ...")
        raise RuntimeError(f"{name}: {said} {first} Pass the weights of this network (--weights).") from error
    except Exception as error:  # the Hub's answers and, from each transport, types of its own
        said = " ".join(str(error).split())
        parent = Path(name).parent
        near = did_you_mean(Path(name).name, (path.name for path in parent.iterdir())) if parent.is_dir() else ""
        raise RuntimeError(
            f"{name} could not be loaded from the Hub ({type(error).__name__}: {said}).{near} If this is a folder, "
            "check its path; otherwise check the name and the connection, and set HF_TOKEN for a private or gated "
            "repository."
        ) from error


def with_weights(name: str, weights: str | Path) -> dict[str, Any]:
    """Return the arguments of `timm.create_model` that load a .safetensors or .pth file of weights instead of a tag's.

    With masks, the file holds what the name's tag holds: a standard network's weights for a tag "from_*", which are
    then converted, and weights that carry their sigmas for a tag "gm_*". ValueError for a name that timm does not know,
    or a file that is not a state dict.
    """
    if not is_timm_name(name):
        raise ValueError(f"{name} has weights of its own: pass weights (--weights) with a name that timm knows.")
    if not Path(weights).is_file():
        raise ValueError(f"weights={str(weights)!r} is not a file: pass a .safetensors or .pth file (--weights).")
    read_tensors(weights)  # timm's own error names neither the file nor the remedy
    return {"pretrained": True, "pretrained_cfg_overlay": {"file": str(weights)}}


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors file or a .pth file, in which a training may hold them under "model".

    Raises:
        ValueError: for another file.
    """
    try:
        return dict(load_state_dict(str(path), weights_only=True))
    except (UnpicklingError, SafetensorError, RuntimeError, EOFError, AttributeError, TypeError) as error:
        said = textwrap.shorten(str(error), 100, placeholder=" ...")
        raise ValueError(
            f"weights={str(path)!r} is damaged or not a state dict ({said}). Pass a .pth file that holds nothing but "
            "tensors, or a .safetensors file (--weights)."
        ) from error


def hub_file(name: str, file: str) -> Path:
    """Return a file of a Hub repository, named as `open_model` takes it; errors are the Hub's."""
    repo_id, _, revision = name.removeprefix(_HUB_PREFIX).partition("@")
    return Path(hf_hub_download(repo_id, file, revision=revision or None))


def _from_hub(hub_id: str) -> nn.Module:
    config = json.loads(hub_file(hub_id, CONFIG_NAME).read_text(encoding="utf-8"))
    if config.get("gmconv"):  # converted after it was built, which timm cannot repeat
        repo_id, _, revision = hub_id.partition("@")
        files = [CONFIG_NAME, WEIGHTS_NAME]
        return load(snapshot_download(repo_id, revision=revision or None, allow_patterns=files))
    return timm.create_model(f"{_HUB_PREFIX}{hub_id}", pretrained=True).eval()


# As the Hub allows them: names without "--" or "..", which begin and end with a letter, a digit or an underscore.
_HUB_ID = re.compile(r"(hf-hub:)?(?!.*(--|\.\.))\b[\w.-]+\b/\b[\w.-]+\b(@[\w./-]+)?")


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a sentence that suggests similar names, with a space before it; empty if no name is similar."""
    near = difflib.get_close_matches(name, list(names), n=4, cutoff=0.6)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def is_timm_name(name: str) -> bool:
    """Tell whether a name is one of timm's, with or without a tag. A folder comes before a model of the same name."""
    return bool(is_model(split_model_name_tag(name)[0])) and not Path(name).is_dir()


def lasting_name(name: str | Path) -> str:
    """Return a name that means the same in every folder: of a folder or file that exists, the absolute path."""
    path = Path(str(name).removeprefix("local-dir:"))
    return str(path.resolve()) if path.exists() and not is_timm_name(str(name)) else str(name)


def check_model_name(name: str) -> None:
    """Check that a name, as `open_model` takes it, can be that of a network.

    Raises:
        ValueError: for a name that is none of these (the message suggests similar ones), or a tag that the model does
            not have (it lists the tags).
    """
    if is_timm_name(name):
        model, tag = split_model_name_tag(name)
        try:
            get_pretrained_cfg(name)
        except RuntimeError as error:  # the tag is wrong
            tags = timm.list_pretrained(f"{model}.*")
            there = f"pass one of {', '.join(tags)}" if tags else "it has no pretrained weights"
            raise ValueError(f"{name}: {model} has no tag {tag!r}: {there}, or leave the tag out.") from error
    elif Path(name).is_file():
        raise ValueError(
            f"{name} is a file: pass the folder of its network or run, or a model that timm knows with this file as "
            "its weights (--weights)."
        )
    elif not Path(name.removeprefix("local-dir:")).is_dir() and not _HUB_ID.fullmatch(name):
        raise ValueError(
            f"{name!r} is not a folder, a model that timm knows, or a Hub repository (ORG/NAME)."
            f"{did_you_mean(split_model_name_tag(name)[0], timm.list_models())} "
            "The command gmconv models lists the models of gmconv_zoo."
        )
