"""One way to build every model: timm's class, the conversion, and the checked weights of a spec."""

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from timm.models import build_model_with_cfg, register_model, resolve_pretrained_cfg
from torch import nn

from ..conversion import CONVERSION_KEYS, Conversion, convert, fit_sigma_modules
from ..sigmas import sigma_parameter_names
from ..weights.adapt import StateDict, adapt_checkpoint
from ..weights.errors import WeightsError
from ..weights.fetch import fetch
from ..weights.specs import EVALUATION, SPECS, WeightSpec, specs_of
from ._names import MASKED_FAMILIES

__all__ = ["MASKS", "SigmaNoDecay", "build_gmconv", "default_cfgs_of", "entrypoint", "masks_of"]

# The masks of each family: the paper's GMConv, its S-GMConv, and its baseline
MASKS = {"gmconv": Conversion(), "sgmconv": Conversion(stem="static"), "stdconv": None}
_FAMILIES_IN_WORDS = {
    "gmconv": "with a dynamic stem and static masks elsewhere",
    "sgmconv": "with static masks everywhere",
    "stdconv": "with standard convolutions: the paper's baseline",
}

_logger = logging.getLogger(__name__)

ModelT = TypeVar("ModelT", bound=nn.Module)


class SigmaNoDecay:
    """Mixin for timm's model classes, so that weight decay does not narrow the masks."""

    @torch.jit.ignore
    def no_weight_decay(self) -> set[str]:
        """Return the names of the parameters to which timm's optimizer factory applies no weight decay."""
        return sigma_parameter_names(self)  # type: ignore[arg-type]


def entrypoint(name: str, title: str, build: Callable[..., ModelT], **args: Any) -> Callable[..., ModelT]:
    """Register a model of the module in which `build` is defined, and return its entrypoint.

    Args:
        name: name of the model, and of its entrypoint in the module.
        title: name of the network in words.
        build: function of the name, whether to load weights, and constructor arguments.
        **args: constructor arguments, which those of a call replace.
    """

    def create(pretrained: bool = False, **kwargs: Any) -> ModelT:
        return build(name, pretrained, **{**args, **kwargs})

    create.__name__ = create.__qualname__ = name
    create.__module__, create.__doc__ = build.__module__, f"{title} {_FAMILIES_IN_WORDS[name.partition('_')[0]]}."
    return register_model(create)


def build_gmconv(
    model_cls: Callable[..., ModelT],
    variant: str,
    pretrained: bool,
    *,
    rename: Callable[[StateDict, nn.Module], StateDict] | None = None,
    pretrained_cfg: Any = None,
    pretrained_cfg_overlay: dict[str, Any] | None = None,
    cache_dir: Any = None,
    pretrained_strict: bool = True,
    **kwargs: Any,
) -> ModelT:
    """Build a registered model as timm's `build_model_with_cfg` does, with its masks and its weights.

    Standard weights are loaded before the conversion, which keeps the outputs, and weights with sigmas after it.

    Args:
        model_cls: the plain network's class.
        variant: the entrypoint's name, whose family decides its masks.
        rename: see `adapt_checkpoint`.
        **kwargs: constructor arguments, timm's ``features_only`` and so on, and for a masked family the keywords of a
            conversion, which replace those of `MASKS`.

    Raises:
        RuntimeError: if the weights cannot be loaded or do not fit.
        ValueError: for keywords of a conversion outside their range, or others than the weights were trained with.
    """
    cfg = resolve_pretrained_cfg(variant, pretrained_cfg, pretrained_cfg_overlay)
    conversion, masks = None, masks_of(variant)
    if masks is not None:
        asked = {key: kwargs.pop(key) for key in CONVERSION_KEYS if key in kwargs}
        conversion = Conversion.from_dict({**masks.to_dict(), **asked})
    first_conv = _first_conv(cfg.first_conv, conversion)
    spec = _spec_of(variant, cfg, pretrained_cfg_overlay or {})
    known = SPECS.get(f"{variant}.{cfg.tag}")
    own_file = bool(cfg.state_dict) or bool(cfg.file and cfg.file != (known.packaged if known else ""))
    native = spec is None or spec.conversion == "native"
    if pretrained and masks is not None and conversion is not None:
        of_tag = spec is not None and native and not own_file
        _check_recorded(conversion, masks.to_dict() if of_tag else kwargs.get("pretrained_model_args") or {})
    overlay = {**(pretrained_cfg_overlay or {}), "first_conv": first_conv}
    if pretrained and spec is not None and not own_file:
        overlay["file"] = str(fetch(spec, cache_dir=cache_dir))
    if pretrained and cfg.file and not cfg.source and not cfg.state_dict and (spec is None or own_file):
        recorded = _recorded_in(Path(cfg.file), spec.name if spec is not None else variant)
        if conversion is not None and native:
            _check_recorded(conversion, recorded)
    if pretrained and not (cfg.has_weights or cfg.state_dict):
        tags = [spec.name for spec in specs_of(variant)]
        own = "pretrained=False, a file of your own (--weights), or a folder ('local-dir:FOLDER')"
        remedy = f"one of {tags}" if tags else own
        raise RuntimeError(f"no pretrained weights exist for {variant}: pass {remedy}.")

    features_only = kwargs.get("features_only", False)
    standard = pretrained and spec is not None and spec.conversion == "standard"

    def adapt(state_dict: StateDict, model: nn.Module) -> StateDict:
        # timm drops a classifier of another size; one of the same size has to be in the file
        same_head = model.num_classes == cfg.num_classes and not features_only
        free = {"first_conv": _names(first_conv), "classifier": () if same_head else _names(cfg.classifier)}
        declared: Any = "standard" if standard else "native"
        try:
            fit_sigma_modules(model, state_dict)
            return adapt_checkpoint(
                state_dict, model, declared=declared, strict=pretrained_strict, rename=rename, **free
            )
        except RuntimeError as error:
            source = overlay.get("file") or cfg.file or cfg.hf_hub_id or cfg.url or "the state dict"
            remedy = "Pass another file, pretrained_cfg_overlay=dict(file=...) (--weights), or pretrained=False."
            raise WeightsError(f"{spec.name if spec else variant}, from {source}: {error} {remedy}") from error

    build = functools.partial(
        build_model_with_cfg,
        variant=variant,
        pretrained_cfg=cfg.to_dict(),
        pretrained_filter_fn=adapt,
        cache_dir=cache_dir,
        pretrained_strict=pretrained_strict,
    )

    def construct(**model_kwargs: Any) -> nn.Module:
        # a number of classes that no network has makes timm drop the file's classifier
        source = {**overlay, "num_classes": -1} if features_only else overlay
        plain = build(model_cls, pretrained=standard, pretrained_cfg_overlay=source, **model_kwargs)
        if conversion is None or not conversion.masks_anything:
            return plain
        return convert(plain, **conversion.to_dict(), preserve=standard, inplace=True)

    model: Any = build(construct, pretrained=pretrained and not standard, pretrained_cfg_overlay=overlay, **kwargs)
    model.pretrained_cfg.pop("file", None)  # the path of a downloaded file is not part of the configuration
    if cfg.file:
        model.pretrained_cfg["file"] = cfg.file
    if not pretrained:  # random outputs do not have the meaning of the tag's
        model.pretrained_cfg["label_names"] = None
    if standard and spec is not None and conversion is not None:
        _say_untrained(spec.name)
    if conversion is not None:
        model.gmconv_conversion = conversion  # a feature extractor is a new module
    return model


def default_cfgs_of(
    *nets: str, first_conv: str, families: Sequence[str] = MASKED_FAMILIES, **common: Any
) -> dict[str, Any]:
    """Return timm's ``default_cfgs`` entries of networks by "model.tag", made from specs and ``common`` entries.

    A model's default tag comes first; a model without weights has one untagged entry.
    """
    cfgs: dict[str, Any] = {}
    for model in (f"{family}{net}" for net in nets for family in families):
        shared = {
            "paper_ids": "arXiv:2302.04544",
            "origin_url": "https://arxiv.org/abs/2302.04544",
            "first_conv": _first_conv(first_conv, masks_of(model)),
            **common,
        }
        for spec in specs_of(model):  # the last map is a 32nd of the image, unless the family says otherwise
            pool_size = tuple(-(-side // 32) for side in spec.input_size[1:])
            cfgs[spec.name] = {"pool_size": pool_size, **shared, **_cfg(spec)}
        if not specs_of(model):
            cfgs[model] = {"license": "apache-2.0", **shared}
    return cfgs


def masks_of(model: str) -> Conversion | None:
    """Return the conversion of a registered model's family; None for a plain network."""
    return MASKS[model.partition("_")[0]]


def _cfg(spec: WeightSpec) -> dict[str, Any]:
    hub_id = f"{spec.hf_hub_id}@{spec.revision}" if spec.revision else spec.hf_hub_id
    return {
        "hf_hub_id": hub_id or None,
        "hf_hub_filename": spec.filename if hub_id else None,
        "url": spec.url or None,
        "file": spec.packaged or None,
        "num_classes": spec.num_classes,
        "license": spec.licence,
        "label_names": list(spec.label_names) or None,
        **{key: getattr(spec, key) for key in EVALUATION},
    }


@functools.cache
def _say_untrained(name: str) -> None:
    """Log once per process that the masks of a tag are untrained."""
    _logger.info("%s has the outputs of its source, and its masks are untrained.", name)


def _first_conv(plain: Any, conversion: Conversion | None) -> Any:
    """Return the layers that timm adapts to other channel counts: a dynamic stem has two more than the convolution."""
    name = next(iter(_names(plain)), None)
    if name is None or conversion is None or conversion.stem != "dynamic":
        return name
    return (name, f"{name}.sigma_module.fc_max", f"{name}.sigma_module.fc_avg")


def _names(names: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names or ())


def _spec_of(variant: str, cfg: Any, overlay: dict[str, Any]) -> WeightSpec | None:
    """Return the spec of a resolved configuration, with the user's own source; None for 'hf-hub:' and 'local-dir:'."""
    spec = None if cfg.source else SPECS.get(f"{variant}.{cfg.tag}")
    if spec is None or not any(overlay.get(key) for key in ("hf_hub_id", "hf_hub_filename", "url")):
        return spec
    unknown: dict[str, Any] = {"sha256": "", "sha256_prefix": "", "packaged": ""}
    if overlay.get("url") and not overlay.get("hf_hub_id"):
        return replace(spec, url=overlay["url"], hf_hub_id="", revision="", **unknown)
    hub_id, _, revision = (cfg.hf_hub_id or "").partition("@")
    filename = cfg.hf_hub_filename or spec.filename
    return replace(spec, hf_hub_id=hub_id, revision=revision, filename=filename, url="", **unknown)


def _check_recorded(conversion: Conversion, recorded: dict[str, Any]) -> None:
    """Refuse another conversion than the recorded one of a native checkpoint, whose sigmas belong to it."""
    known = {key: recorded[key] for key in CONVERSION_KEYS if key in recorded}
    there, here = Conversion.from_dict(known).to_dict(), conversion.to_dict()
    for key in known:
        if here[key] != there[key]:
            said = "carries its sigmas, which started at" if key == "sigma_init" else "was trained with"
            remedy = f"pass {key}={there[key]!r}, or pretrained=False"
            raise ValueError(f"{key}={here[key]!r}: this checkpoint {said} {there[key]!r}; {remedy}.")


def _recorded_in(path: Path, name: str) -> dict[str, str]:
    """Return the sigma design that `gmconv_zoo.save` records in a user's file, which must exist and be complete."""
    if not path.is_file():
        raise WeightsError(f"{name}: {path} does not exist: check pretrained_cfg_overlay=dict(file=...) (--weights).")
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
    except SafetensorError as error:
        raise WeightsError(f"{name}: {path} is damaged or not in the safetensors format: pass another file.") from error
    return {key: metadata[key] for key in ("sigma_design",) if key in metadata}
