"""Small weights that ship inside the package: checked as a publication is, and put beside their specs."""

import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from .. import weights
from ..saving import WEIGHTS_NAME
from ..saving.targets import check_target
from ..weights.check import sha256_of
from ..weights.specs import Metric, Stem, WeightSpec
from .stage import stage

__all__ = ["LARGEST_FILE", "package"]

# The wheel stays small: larger weights belong on the Hub.
LARGEST_FILE = 5 * 2**20


def package(
    folder: str | Path,
    tag: str,
    *,
    measured: Metric | None,
    source: str,
    recipe: str = "",
    stem: Stem | None = None,
    licence: str = "apache-2.0",
    destination: Path | None = None,
    overwrite: bool = False,
) -> WeightSpec:
    """Copy a trained network's weights into the package.

    Args:
        folder: what training or `gmconv_zoo.save` wrote.
        tag: of the weights, e.g. "gm_cifar10".
        measured: the accuracy measured with them; None makes the card say "not measured".
        source: what they are derived from, in words, e.g. "trained from random weights".
        recipe: how they were trained, in words.
        stem: what a dynamic stem does; None for what training recorded of it.
        licence: in the Hub's spelling.
        destination: folder to copy to instead of the package's own.
        overwrite: replace weights of the same model and tag.

    Returns:
        The spec, whose row goes into weights/specs.py.

    Raises:
        ValueError: for a network that could not be published, or a file that is too large for a wheel.
        RuntimeError: when the weights do not give the same network back.
    """
    with TemporaryDirectory() as scratch:
        repo_id = f"packaged/model.{tag}"
        staged = stage(folder, scratch, repo_id=repo_id, measured=measured, licence=licence, source=source)
        path = staged.folder / WEIGHTS_NAME
        if staged.no_tag:
            raise ValueError(f"{folder}: {staged.no_tag}")
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(
                f"{folder}: {path.stat().st_size / 2**20:.1f} MB are too much for a wheel ({LARGEST_FILE >> 20} MB at "
                "most): publish these weights on the Hub instead."
            )
        name = f"{staged.spec.name}.safetensors"
        target = (destination or Path(weights.__path__[0])) / name
        check_target(target, "weights", overwrite=overwrite)
        shutil.copyfile(path, target)
        digest = sha256_of(path)
    stem = stem or staged.spec.stem
    return replace(staged.spec, hf_hub_id="", packaged=name, sha256=digest, recipe=recipe, stem=stem, notes=())
