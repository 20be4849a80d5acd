"""Between a network and the config.json that describes it: write it, and build the network from it, without weights."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import timm
from timm.models import FeatureDictNet, FeatureGraphNet, FeatureHookNet, FeatureListNet, is_model
from timm.models._features import FeatureGetterNet
from timm.models._hub import save_config_for_hf
from torch import nn

from ..conversion import CONVERSION_KEYS, Conversion, convert, has_masks, present_conversion
from ..images.data_config import data_config
from ..layers.copying import unwrapped
from ..models._names import MASKED_FAMILIES, net_of, plain_name

__all__ = [
    "CONFIG_NAME",
    "NOT_TIMMS",
    "PLAN_BUILDERS",
    "WEIGHTS_NAME",
    "build_from_config",
    "check_unwrapped",
    "describe",
    "rebuild",
]

CONFIG_NAME, WEIGHTS_NAME = "config.json", "model.safetensors"
# timm looks for these at the top level of config.json only
_LABEL_KEYS = ("label_names", "label_descriptions")
# The architecture that timm reads for a network that it cannot rebuild, so that its error names the remedy.
NOT_TIMMS = "load_with_gmconv_zoo"
# Builds a network that recorded how it was made, by the plan's kind. Rooms above this one add theirs in the root.
PLAN_BUILDERS: dict[str, Callable[[dict[str, Any]], nn.Module]] = {}
_EXTRACTORS = (FeatureDictNet, FeatureListNet, FeatureHookNet, FeatureGetterNet, FeatureGraphNet)


def describe(model: nn.Module, *, label_names: list[str] | None = None) -> dict[str, Any]:
    """Return the configuration of a network, which JSON can hold.

    There are three kinds. The configuration of a network that timm can rebuild has timm's own keys. That of a timm
    network which was converted after it was built has them too, with the architecture and the conversion under
    "gmconv". That of a network which timm does not know has only the conversion, and the plan of a network that records
    one (``gmconv_plan``, as detectors do). Label names are in the order of the outputs.

    Raises:
        ValueError: for another number of label names than outputs, label names of a network that timm does not know,
            or an argument that JSON cannot hold.
    """
    check_unwrapped(model, "rebuilt")
    if isinstance(model, _EXTRACTORS):
        raise ValueError(
            f"{type(model).__name__} is a feature extractor, which cannot be rebuilt: save the network that was "
            "created without features_only, and create the extractor from the saved folder."
        )
    conversion = present_conversion(model)
    if not _known_to_timm(model):
        cls = type(model)
        if label_names is not None:
            raise ValueError(
                f"label_names: timm does not know {cls.__name__}, so the folder cannot keep them: leave them out."
            )
        name = f"{cls.__module__}.{cls.__qualname__}"
        return {"architecture": NOT_TIMMS, "class": name, "gmconv": _by_hand(model, None, conversion)}
    architecture = _entrypoint(model, conversion)
    config = _timm_config(model, architecture, conversion, label_names)
    if conversion is not None and not conversion.masks_anything:
        config["folded_masks"] = True
    elif conversion is not None and not architecture.startswith(MASKED_FAMILIES):
        config.update(architecture=NOT_TIMMS, gmconv=_by_hand(model, architecture, conversion))
    return config


def check_unwrapped(model: Any, action: str) -> None:
    """Refuse a network inside a wrapper; the action is a participle for the message, e.g. "exported"."""
    if unwrapped(model) is not model:
        raise ValueError(
            f"{type(model).__name__} cannot be {action}: pass the network inside it (model.module, or the one that was "
            "compiled)."
        )


def _known_to_timm(model: nn.Module) -> bool:
    cfg: Any = getattr(model, "pretrained_cfg", None) or {}
    architecture = cfg.get("architecture", "")
    return bool(architecture) and is_model(architecture) and hasattr(model, "num_classes")


def _by_hand(model: nn.Module, architecture: str | None, conversion: Conversion | None) -> dict[str, Any]:
    masked = conversion is not None and conversion.masks_anything
    return {
        "architecture": architecture,
        "conversion": conversion.to_dict() if conversion is not None and masked else None,
        "plan": vars(model).get("gmconv_plan"),
        "conv_stages": vars(model).get("conv_stages"),
        "parts": {} if masked else _converted_parts(model),
    }


def _converted_parts(model: nn.Module) -> dict[str, Any]:
    """Return the conversions of converted networks inside another one, such as backbones, by module name."""
    parts: dict[str, Any] = {}
    for name, module in model.named_modules():
        conversion = present_conversion(module) if "gmconv_conversion" in vars(module) else None
        if conversion is not None and conversion.masks_anything and not name.startswith(tuple(f"{p}." for p in parts)):
            parts[name] = conversion.to_dict()
    return parts


def _entrypoint(model: nn.Module, conversion: Conversion | None) -> str:
    """Return the name that builds this structure in timm, which for a fully fused network is the plain one's."""
    cfg: Any = model.pretrained_cfg
    architecture: str = cfg["architecture"]
    if conversion is not None and not conversion.masks_anything and architecture.startswith(MASKED_FAMILIES):
        return plain_name(net_of(architecture))
    return architecture


def _timm_config(
    model: nn.Module, architecture: str, conversion: Conversion | None, label_names: list[str] | None
) -> dict[str, Any]:
    own = architecture.startswith(MASKED_FAMILIES)
    args = conversion.to_dict() if own and conversion is not None else {}
    extra: dict[str, Any] = {"pretrained_cfg": {"architecture": architecture}}
    if label_names is not None:
        outputs: Any = model.num_classes
        if isinstance(label_names, (str, dict)):
            raise TypeError(f"label_names={label_names!r}: pass a list with a name for each output, in order.")
        if len(label_names) != outputs:
            raise ValueError(
                f"label_names has {len(label_names)} names for {outputs} outputs: pass one for each output, in order."
            )
        extra["label_names"] = list(label_names)
    with TemporaryDirectory() as scratch:  # timm writes its configuration to a file only
        path = Path(scratch) / CONFIG_NAME
        save_config_for_hf(model, str(path), model_config=extra, model_args=args)
        config = json.loads(path.read_text())
    for key in _LABEL_KEYS:
        value = config["pretrained_cfg"].pop(key, None)
        if key == "label_names" and isinstance(value, dict):  # by output, where a card's reader expects a list
            value = [value.get(str(output), str(output)) for output in range(len(value))]
        if value and len(value) == config["num_classes"]:  # else names of the classes it was loaded with
            config.setdefault(key, value)
    recorded = config.get("model_args", {})
    for key in () if own else CONVERSION_KEYS:
        recorded.pop(key, None)
    # num_classes stands at the top level; a second copy here makes transformers' AutoModel fail
    recorded.pop("num_classes", None)
    config["pretrained_cfg"]["first_conv"] = _first_conv(model, config["pretrained_cfg"].get("first_conv"))
    return config


def _first_conv(model: nn.Module, declared: Any) -> Any:
    names = (declared,) if isinstance(declared, str) else tuple(declared or ())
    present = {name for name, _ in model.named_modules()}
    kept = tuple(name for name in names if name in present)
    return kept[0] if len(kept) == 1 else list(kept) or None


def rebuild(config: dict[str, Any], folder: Path, model: nn.Module | Callable[[], nn.Module] | None) -> nn.Module:
    """Build the network that a configuration describes, with initial weights; the arguments are those of `load`.

    Raises:
        ValueError: if the network cannot be built, or a model was passed that is not needed.
    """
    architecture, by_hand = _architecture(config)
    if architecture is None:
        plan = by_hand.get("plan") or {}
        if model is None and plan.get("kind") in PLAN_BUILDERS:
            return _converted(PLAN_BUILDERS[plan["kind"]](plan), by_hand, inplace=True)
        if model is None:
            raise ValueError(
                f"{folder} holds a {config.get('class', 'network')} that timm cannot build: pass the plain network, "
                "load(folder, model=MyNet(...))."
            )
        return _converted(model if isinstance(model, nn.Module) else model(), by_hand, inplace=False)
    if model is not None:
        raise ValueError(f"{folder} rebuilds itself as {architecture!r}: leave model out.")
    if not is_model(architecture):
        raise ValueError(
            f"{folder}: timm knows no architecture {architecture!r}. Import the package that registers it first, "
            "or update timm."
        )
    try:
        net: Any = build_from_config(config)
    except (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        given = f"model_args {config.get('model_args', {})}" + (f" and gmconv {by_hand}" if by_hand else "")
        said = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{folder / CONFIG_NAME} cannot be used: {architecture} cannot be built with {given}; {said}."
        ) from error
    known = {**config.get("pretrained_cfg", {}), **{key: config.get(key) for key in _LABEL_KEYS}}
    for key in ("test_input_size", "test_crop_pct"):  # those of the architecture's default weights
        net.pretrained_cfg.pop(key, None)
    net.pretrained_cfg.update({key: value for key, value in known.items() if value is not None})
    try:
        data_config(net)
        if (names := config.get("label_names")) is not None and len(names) != net.num_classes:
            raise ValueError(f"label_names has {len(names)} names; it must have {net.num_classes}, one per output.")
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG_NAME} cannot be used: {error}") from error
    return net


def build_from_config(config: dict[str, Any]) -> nn.Module:
    """Build the network of a configuration with an architecture, on torch's current default device."""
    architecture, by_hand = _architecture(config)
    recorded = config.get("model_args", {})
    args = {key: value for key, value in recorded.items() if value is not None}
    args.setdefault("num_classes", config.get("num_classes"))
    if architecture.startswith(MASKED_FAMILIES):  # timm drops keywords whose value is None
        args.update({key: "none" for key in ("stem", "body") if recorded.get(key, "") is None})
    net: Any = _converted(timm.create_model(architecture, pretrained=False, **args), by_hand, inplace=True)
    if config.get("folded_masks"):
        net.gmconv_conversion = Conversion(stem=None, body=None)
    return net


def _architecture(config: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the entrypoint's name, None for a network that timm does not know, and what was done after building."""
    by_hand = config.get("gmconv") or {}
    named = config.get("architecture")
    return (by_hand.get("architecture") if named in (None, NOT_TIMMS) else named), by_hand


def _converted(net: Any, by_hand: dict[str, Any], *, inplace: bool) -> nn.Module:
    if by_hand.get("conv_stages"):
        net.conv_stages = tuple(tuple(stage) for stage in by_hand["conv_stages"])
    if by_hand.get("conversion"):
        return _convert(net, by_hand["conversion"], inplace=inplace)
    parts = {name: net.get_submodule(name) for name in by_hand.get("parts", {})}
    plain = {name: part for name, part in parts.items() if not has_masks(part)}  # a builder may convert by itself
    net = net if inplace or not plain else copy.deepcopy(net)
    for name in plain:
        net.set_submodule(name, _convert(net.get_submodule(name), by_hand["parts"][name], inplace=True))
    return net


def _convert(net: nn.Module, values: dict[str, Any], *, inplace: bool) -> nn.Module:
    return convert(net, **Conversion.from_dict(values).to_dict(), preserve=False, inplace=inplace)
