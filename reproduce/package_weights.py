"""Put a trained CIFAR network's weights into the package, and print their row for weights/specs.py.

The network is loaded and compared first, as for a publication; the accuracy is read from its results.json.

Example:
    python -m reproduce.package_weights output/train --tag gm_cifar10 --dataset "CIFAR-10 test" --recipe "30 epochs"
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from gmconv_zoo import weights
from gmconv_zoo.cli.command import run
from gmconv_zoo.hub.measured import DetectionMetric, choose_measured
from gmconv_zoo.hub.publish import spec_row
from gmconv_zoo.hub.stage import stage
from gmconv_zoo.saving import WEIGHTS_NAME, load
from gmconv_zoo.saving.targets import check_target
from gmconv_zoo.weights.check import sha256_of
from gmconv_zoo.weights.specs import Metric, Stem, WeightSpec

from .stem_effect import measure_stem

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
    destination: Path | None = None,
    overwrite: bool = False,
) -> WeightSpec:
    """Copy a trained network's weights into the package, and return the spec whose row goes into weights/specs.py.

    Args:
        folder: what training or `gmconv_zoo.save` wrote.
        measured: the accuracy measured with them; None makes the card say "not measured".
        source, recipe: what they are derived from and how they were trained, in words.
        stem: what a dynamic stem does; None for what training recorded of it.
        destination: folder to copy to instead of the package's own.

    Raises:
        ValueError: for a network that could not be published, or a file that is too large for a wheel.
        RuntimeError: when the weights do not give the same network back.
    """
    with TemporaryDirectory() as scratch:
        repo_id = f"packaged/model.{tag}"
        staged = stage(folder, scratch, repo_id=repo_id, measured=measured, licence="apache-2.0", source=source)
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


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="output folder of gmconv train")
    add("--tag", required=True, help='tag of the weights, e.g. "gm_cifar10"; "cifar10" for a network without masks')
    add("--dataset", default="", help='what was measured, e.g. "CIFAR-10 test" (default: as results.json says)')
    add("--source", default="trained from random weights", help="source in words (default: %(default)s)")
    add("--recipe", default="", help="how they were trained, in words (default: not said)")
    add("--data", metavar="DATA", help="validation images on which a dynamic stem is measured (default: not measured)")
    add("--overwrite", action="store_true", help="replace packaged weights of the same tag")


def _main(args: argparse.Namespace) -> None:
    measured = choose_measured(args.folder, dataset=args.dataset)
    if isinstance(measured, DetectionMetric):
        raise ValueError(f"{args.folder} holds a detector, and the package holds classifiers: use gmconv publish.")
    stem = None if args.data is None else measure_stem(load(args.folder), args.data)
    described = {"stem": stem, "source": args.source, "recipe": args.recipe, "overwrite": args.overwrite}
    spec = package(args.folder, args.tag, measured=measured, **described)
    print(f"Row for gmconv_zoo/weights/specs.py:\n{spec_row(spec)}\nThen run python -m reproduce.tables.")


if __name__ == "__main__":
    run("python -m reproduce.package_weights", __doc__, _add_options, _main)
