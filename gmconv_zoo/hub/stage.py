"""The exact folder that is published: weights, configuration and card, checked by loading it as a user will."""

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import timm
import torch
from huggingface_hub.utils import HFValidationError, validate_repo_id
from timm.models import get_pretrained_cfg
from torch import nn

from ..conversion import fuse, has_masks, present_conversion
from ..files.records import RESULTS_NAME, read_results, write_json
from ..layers import DGMConv2d, SGMConv2d
from ..layers.static import initial_sigma
from ..models._build import masks_of
from ..models._names import FAMILIES
from ..saving import CONFIG_NAME, WEIGHTS_NAME, load, save
from ..saving.detectors import is_detector, main_network
from ..saving.named import is_timm_name
from ..saving.targets import check_target
from ..weights.specs import EVALUATION, Metric, WeightSpec
from .cards import Kind, render_card
from .detectors import check_detector, check_tensors, detector_card
from .measured import DetectionMetric, read_start, read_stem
from .profile import profile

__all__ = ["CARD_NAME", "Staged", "stage"]

CARD_NAME = "README.md"
_FILES = (CARD_NAME, CONFIG_NAME, RESULTS_NAME, WEIGHTS_NAME)


@dataclass(frozen=True)
class Staged:
    """A folder that is ready to be published, and a spec of which publishing fills in the revision and the sha256.

    `no_tag` says why the weights cannot be a tag of their model; it is empty if they can.
    """

    folder: Path
    spec: WeightSpec
    kind: Kind
    no_tag: str = ""

    @property
    def files(self) -> list[Path]:
        """The files that will be pushed; others in the folder stay private."""
        return [path for name in _FILES if (path := self.folder / name).is_file()]


def stage(
    folder: str | Path,
    out: str | Path,
    *,
    repo_id: str,
    measured: Metric | DetectionMetric | None,
    licence: str = "",
    source: str = "",
    fused: bool = False,
    overwrite: bool = False,
) -> Staged:
    """Write a folder for publishing, and check that it contains the network of the given folder.

    Args:
        folder: folder that `gmconv_zoo.save` wrote, with results.json if training recorded one.
        out: folder to write; it must not be ``folder``, nor contain other files than those of an earlier staging.
        repo_id: "ORG/NAME", its name on the Hub; with NAME = "<model>.<tag>", the spec gets that tag.
        measured: metric of these weights, see `choose_measured`; None makes the card say "not measured".
        licence: licence in the Hub's spelling; by default, the network's, or of a detector that of its first weights.
        source: source of the weights in words; by default, the weights that training started from.
        fused: fold the static masks in and publish the plain network of timm.

    Raises:
        ValueError: for a network that cannot be published in this way; the message says why.
        RuntimeError: if the weights do not fit, or loading the staged folder gives another network.
    """
    _check_repository(repo_id)
    out = Path(out)
    check_target(out, "out (--output)", writes=_FILES, inputs=[folder], overwrite=overwrite)
    model, start = load(folder), read_start(folder)
    if fused and is_detector(model):
        raise ValueError("fused (--fused) makes a plain network of timm, which a detector is not: leave it out.")
    fields: dict[str, Any] = {
        "licence": licence,
        "source": source or ("not recorded" if start is None else f"trained from {start or 'random weights'}"),
        "hf_hub_id": repo_id,
        "filename": WEIGHTS_NAME,
        "stem": None if fused else read_stem(folder),
    }
    with TemporaryDirectory() as scratch:
        made = Path(scratch)
        fields["notes"] = _copy_record(Path(folder), made)
        if is_detector(model):
            spec, kind, card = _write_detector(model, made, measured, start or "", fields)
        else:
            spec, kind, card = _write_classifier(model, made, measured, start or "", fields, fused)
        (made / CARD_NAME).write_text(card, encoding="utf-8", errors="backslashreplace")
        for name in _FILES:
            (out / name).unlink(missing_ok=True)
        shutil.copytree(made, out, dirs_exist_ok=True)
    return Staged(out, spec, kind, "" if fused else _no_tag(model, spec.model))


def _check_repository(repo_id: str) -> None:
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ValueError(f"repo {repo_id!r}: pass ORG/NAME as the Hub allows it (--repo). {error}") from error
    if "/" not in repo_id:
        raise ValueError(f"repo {repo_id!r}: pass ORG/NAME (--repo).")


def _write_classifier(
    model: nn.Module, out: Path, measured: Any, start: str, fields: dict[str, Any], fused: bool
) -> tuple[WeightSpec, Kind, str]:
    """Write and check a classifier in an empty folder, and return its spec, kind and card."""
    published = _fused(model) if fused else model
    save(published, out)
    config = json.loads((out / CONFIG_NAME).read_text(encoding="utf-8"))
    _check_publishable(config, fused=fused)
    _check_same(model, published, out, config)
    if fused and measured:
        fields["notes"] += ("The accuracy was measured before the masks were folded in; outputs agree up to rounding.",)
    spec = _spec(config, measured, fields)
    kind: Kind = "fused" if fused else _kind(model)
    counts = profile(published.to("meta"), spec.input_size)
    return spec, kind, render_card(spec, kind, counts, f"hf-hub:{spec.hf_hub_id}", start=start)


def _write_detector(
    model: nn.Module, out: Path, measured: Any, start: str, fields: dict[str, Any]
) -> tuple[WeightSpec, Kind, str]:
    """As `_write_classifier`, for a detector."""
    save(model, out)
    check_detector(model, out)
    kind = _kind(main_network(model))
    if not fields["licence"] and is_timm_name(start):
        fields["licence"] = getattr(get_pretrained_cfg(start), "license", None) or ""
    name, _, tag = fields["hf_hub_id"].rpartition("/")[2].partition(".")
    spec = WeightSpec(name, tag or "untagged", "native", **fields)
    return spec, kind, detector_card(model, spec, kind, measured, start=start)


def _copy_record(folder: Path, out: Path) -> tuple[str, ...]:
    """Copy a run's record without the folders of this machine, and return the notes about it."""
    record = read_results(folder)
    if not record:
        return ()
    write_json(out / RESULTS_NAME, _without_folders(record))
    return (f"How these weights were trained and measured is recorded in {RESULTS_NAME}.",)


def _without_folders(value: Any) -> Any:
    """Shorten every absolute path, and every path that exists, to its last part."""
    if isinstance(value, dict):
        return {key: _without_folders(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_folders(part) for part in value]
    if isinstance(value, str) and "/" in value and (Path(value).is_absolute() or Path(value).exists()):
        return Path(value).name
    return value


def _kind(model: nn.Module) -> Kind:
    if not has_masks(model):
        return "plain"
    return "mask-trained" if _masks_are_trained(model) else "untrained"


def _masks_are_trained(model: nn.Module) -> bool:
    """Tell whether any parameter of a mask differs from its initial value."""
    conversion: Any = getattr(model, "gmconv_conversion", None)
    for module in model.modules():
        if isinstance(module, DGMConv2d) and module.sigma_module.fc.weight.count_nonzero():
            return True
        if isinstance(module, (SGMConv2d, DGMConv2d)):
            sigma = module.sigma if isinstance(module, SGMConv2d) else module.sigma_module.fc.bias[0]
            start = initial_sigma(module.kernel_size, conversion.sigma_init)
            # no training moves a sigma by less than its rounding in half precision
            if not math.isclose(sigma.item(), start, rel_tol=1 / 128):
                return True
    return False


def _fused(model: nn.Module) -> nn.Module:
    for name, module in model.named_modules():
        if isinstance(module, DGMConv2d):
            raise ValueError(f"{name} has a dynamic mask, which cannot be folded in: leave out fused (--fused).")
    return fuse(model)


def _check_publishable(config: dict[str, Any], *, fused: bool) -> None:
    architecture = config.get("architecture") or ""
    if not architecture or config.get("gmconv"):
        raise ValueError(
            "timm cannot rebuild a network that was converted after it was built: build one of this package's models, "
            "or publish it fused (--fused) if all its masks are static."
        )
    own = architecture.startswith(FAMILIES)
    if fused and own:
        raise ValueError(f"timm has no plain network to publish this one as ({architecture}): do not fuse it.")
    if not fused and not own:
        raise ValueError(f"this is timm's plain {architecture}: publish it as fused if masks were folded into it.")
    if fused and not config.get("folded_masks"):
        raise ValueError("this network has no masks, folded or not: there is nothing to publish as fused.")


@torch.inference_mode()
def _check_same(model: nn.Module, published: nn.Module, out: Path, config: dict[str, Any]) -> None:
    """Load the staged folder with timm, as a user will, and compare it with the network in memory."""
    reloaded = timm.create_model(f"local-dir:{out}", pretrained=True).eval()
    check_tensors(published, reloaded, out)
    size = config["pretrained_cfg"]["input_size"]
    images = torch.rand(2, *size, generator=torch.Generator().manual_seed(0))
    outputs = published.eval()(images)
    if not torch.equal(outputs, reloaded(images)):
        raise RuntimeError(f"{out}: the network read back from the staged folder gives other outputs.")
    original = model.eval()(images)
    if not torch.allclose(outputs, original, rtol=1e-4, atol=1e-4 * float(original.abs().max())):
        raise RuntimeError("fusing changed the network's outputs by more than rounding does.")


def _no_tag(model: nn.Module, architecture: str) -> str:
    """Say why a network cannot be a tag, which is built with the conversion of its family; empty if it can."""
    if is_detector(model):
        return "a detector is loaded from its repository, and timm has no name for it."
    usual, own = masks_of(architecture), present_conversion(model)
    trained_with = own.to_dict() if own is not None else {}
    for key, value in usual.to_dict().items() if usual is not None else ():
        if (there := trained_with.get(key, value)) != value:
            return (
                f"it was trained with {key}={there!r} and {architecture} has {value!r}, which no tag can change. "
                "A repository on the Hub can, because its configuration contains it."
            )
    return ""


def _spec(config: dict[str, Any], measured: Metric | None, fields: dict[str, Any]) -> WeightSpec:
    cfg = config["pretrained_cfg"]
    kept: dict[str, Any] = {key: cfg[key] for key in EVALUATION if cfg.get(key) is not None}
    kept = {key: tuple(value) if isinstance(value, list) else value for key, value in kept.items()}
    return WeightSpec(
        config["architecture"],
        fields["hf_hub_id"].rpartition("/")[2].partition(".")[2] or "untagged",
        "native",
        num_classes=config["num_classes"],
        measured=measured,
        label_names=tuple(config.get("label_names") or ()),
        **{**fields, "licence": fields["licence"] or cfg.get("license") or ""},
        **kept,
    )
