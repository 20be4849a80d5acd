"""A trained classifier by whatever name a user has for it: a timm tag, a folder, a repository on the Hub."""

import json
from pathlib import Path

import timm
from huggingface_hub import hf_hub_download, snapshot_download
from torch import nn

from .describe import CONFIG_NAME, WEIGHTS_NAME
from .folder import load
from .model_names import check_model_name, is_timm_name

__all__ = ["open_model"]

_HUB_PREFIX = "hf-hub:"


def open_model(name: str, *, pretrained: bool = True) -> nn.Module:
    """Build a network with its trained weights.

    Args:
        name: a name timm knows ("gmconv_resnet18.from_tv_in1k"), a folder that `gmconv_zoo.save` wrote, or a Hub
            repository ("ORG/NAME", "hf-hub:ORG/NAME", either with "@REVISION"). A folder comes before a repository
            of the same name.
        pretrained: False for the initial weights of a name that timm knows.

    Returns:
        The network in eval mode, on the CPU.

    Raises:
        ValueError: when the name is none of these, see `check_model_name`.
        RuntimeError: when the weights cannot be had or do not fit.
    """
    if Path(name.removeprefix("local-dir:")).is_dir():
        return load(name.removeprefix("local-dir:"))
    check_model_name(name)
    if is_timm_name(name):
        return timm.create_model(name, pretrained=pretrained).eval()
    hub_id = name.removeprefix(_HUB_PREFIX)
    try:
        return _from_hub(hub_id)
    except (ValueError, RuntimeError):
        raise
    except Exception as error:  # the Hub's answers and, from each transport, types of its own
        said = " ".join(str(error).split())
        raise RuntimeError(
            f"{name}: the Hub does not give it ({type(error).__name__}: {said}). If this is a folder, check its path; "
            "else check the name and the connection, and set HF_TOKEN for a private or gated repository."
        ) from error


def _from_hub(hub_id: str) -> nn.Module:
    repo_id, _, revision = hub_id.partition("@")
    config = json.loads(Path(hf_hub_download(repo_id, CONFIG_NAME, revision=revision or None)).read_text())
    if config.get("gmconv"):  # converted after it was built, which timm cannot repeat
        files = [CONFIG_NAME, WEIGHTS_NAME]
        return load(snapshot_download(repo_id, revision=revision or None, allow_patterns=files))
    return timm.create_model(f"{_HUB_PREFIX}{hub_id}", pretrained=True).eval()
