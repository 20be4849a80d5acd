"""Folders that hold a network: safetensors beside a config.json, for the Hub, for timm and for converted networks."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file, save_model
from timm.models import is_model
from timm.models._hub import save_config_for_hf
from torch import nn

from .conversion import CONVERSION_KEYS, Conversion, convert

__all__ = ["CONFIG_NAME", "WEIGHTS_NAME", "load", "save"]

_logger = logging.getLogger(__name__)

CONFIG_NAME, WEIGHTS_NAME = "config.json", "model.safetensors"
# The families whose entrypoints convert by themselves; any other converted network is rebuilt by `convert`.
_OWN_FAMILIES = ("gmconv_", "sgmconv_")
_LABEL_KEYS = ("label_names", "label_descriptions")


def save(
    model: nn.Module,
    folder: str | Path,
    *,
    model_args: dict[str, Any] | None = None,
    label_names: list[str] | None = None,
) -> Path:
    """Write a network as model.safetensors and config.json.

    A registered model (converted on building, or fused) loads back with ``timm.create_model("local-dir:FOLDER")``
    and, pushed to the Hub, with ``"hf-hub:..."``. A timm network converted afterwards loads with `load`. A network
    that timm does not know is saved too; `load` then needs the plain network.

    Args:
        model: the network. It must not be wrapped (by DataParallel, a feature extractor, torch.compile).
        folder: created when missing; existing files of these names are overwritten.
        model_args: constructor arguments that timm did not record, e.g. for a network built without its factory.
        label_names: class names in the order of the outputs.

    Returns:
        The folder.

    Raises:
        ValueError: when the network could not be rebuilt from what would be written, naming the difference, or for
            a wrong number of label names; nothing has been written then.
    """
    folder = Path(folder)
    config = _timm_config(model, model_args, label_names) if _known_to_timm(model) else _foreign_config(model)
    if config.get("architecture"):
        _check_rebuilds(model, config)
    folder.mkdir(parents=True, exist_ok=True)
    save_model(model, str(folder / WEIGHTS_NAME), metadata={"format": "pt"})
    (folder / CONFIG_NAME).write_text(json.dumps(config, indent=2) + "\n")
    return folder


def load(folder: str | Path, *, model: nn.Module | Callable[[], nn.Module] | None = None) -> nn.Module:
    """Rebuild a network that `save` wrote, with its weights.

    Args:
        folder: holds config.json and model.safetensors.
        model: for a network that timm does not know: the plain network, or a function that builds it.

    Returns:
        The network in eval mode, on the CPU.

    Raises:
        ValueError: when the folder is incomplete or names a network that cannot be built.
        RuntimeError: when the tensors do not fit the network; nothing has been loaded then.
    """
    folder = Path(folder)
    config = _read_config(folder)
    net = _rebuild(config, folder, model)
    tensors = load_file(folder / WEIGHTS_NAME)
    missing, unexpected = _key_difference(net, tensors)
    if missing or unexpected:
        raise RuntimeError(f"{folder / WEIGHTS_NAME} does not fit the network: {_describe(missing, unexpected)}.")
    net.load_state_dict(tensors, strict=False)  # tensors shared between two names are stored once
    return net.eval()


def _known_to_timm(model: nn.Module) -> bool:
    architecture = (getattr(model, "pretrained_cfg", None) or {}).get("architecture", "")
    return bool(architecture) and is_model(architecture) and hasattr(model, "num_classes")


def _timm_config(model: nn.Module, model_args: dict[str, Any] | None, label_names: list[str] | None) -> dict[str, Any]:
    """timm's own configuration, so that timm rebuilds the network; plus the conversion where timm cannot."""
    conversion = getattr(model, "gmconv_conversion", None)
    architecture = _architecture(model, conversion)
    own = architecture.startswith(_OWN_FAMILIES)
    args = dict(model_args or {})
    if own and conversion is not None:
        args = {**conversion.to_dict(), **args}
    extra: dict[str, Any] = {"pretrained_cfg": {"architecture": architecture}}
    if label_names is not None:
        if len(label_names) != model.num_classes:
            raise ValueError(f"label_names has {len(label_names)} names for {model.num_classes} outputs.")
        extra["label_names"] = list(label_names)
    config = _capture_timm_config(model, extra, args)
    for key in _LABEL_KEYS:  # what the network was loaded with stays, at the top level where timm looks for it
        if value := config["pretrained_cfg"].pop(key, None):
            config.setdefault(key, value)
    recorded = config.get("model_args", {})
    if not own:
        for key in CONVERSION_KEYS:
            recorded.pop(key, None)
        if conversion is not None and conversion.masks_anything:
            config["gmconv"] = conversion.to_dict()
    # num_classes stands at the top level; a second copy here makes transformers' AutoModel fail
    recorded.pop("num_classes", None)
    config["pretrained_cfg"]["first_conv"] = _first_conv(model, config["pretrained_cfg"].get("first_conv"))
    return config


def _architecture(model: nn.Module, conversion: Conversion | None) -> str:
    """The entrypoint that builds this very structure: a fully fused network is the plain one."""
    cfg: Any = model.pretrained_cfg
    architecture: str = cfg["architecture"]
    if conversion is not None and not conversion.masks_anything:
        family, _, net = architecture.partition("_")
        if f"{family}_" in _OWN_FAMILIES:
            return next(name for name in (f"stdconv_{net}", _TIMM_TWINS.get(net, net)) if is_model(name))
    return architecture


# Our nets whose plain twin timm calls differently
_TIMM_TWINS = {"mobilenetv2": "mobilenetv2_100"}


def _first_conv(model: nn.Module, declared: Any) -> Any:
    names = (declared,) if isinstance(declared, str) else tuple(declared or ())
    present = {name for name, _ in model.named_modules()}
    kept = tuple(name for name in names if name in present)
    return kept[0] if len(kept) == 1 else list(kept) or None


def _capture_timm_config(model: nn.Module, extra: dict[str, Any], args: dict[str, Any]) -> dict[str, Any]:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as scratch:
        path = Path(scratch) / CONFIG_NAME
        save_config_for_hf(model, str(path), model_config=extra, model_args=args)
        return json.loads(path.read_text())


def _foreign_config(model: nn.Module) -> dict[str, Any]:
    conversion = getattr(model, "gmconv_conversion", None)
    cls = type(model)
    return {
        "architecture": None,
        "class": f"{cls.__module__}.{cls.__qualname__}",
        "gmconv": conversion.to_dict() if conversion is not None and conversion.masks_anything else None,
    }


def _check_rebuilds(model: nn.Module, config: dict[str, Any]) -> None:
    with torch.device("meta"):
        twin = _build(config)
    own, rebuilt = model.state_dict(), twin.state_dict()
    missing, unexpected = set(rebuilt) - set(own), set(own) - set(rebuilt)
    misshaped = {key for key in own.keys() & rebuilt.keys() if own[key].shape != rebuilt[key].shape}
    if missing or unexpected or misshaped:
        raise ValueError(
            f"timm would rebuild another network than this one from architecture={config['architecture']!r} and "
            f"model_args={config.get('model_args', {})}: {_describe(missing, unexpected, misshaped)}. Pass the "
            "constructor arguments it was built with as model_args={...}."
        )


def _build(config: dict[str, Any]) -> nn.Module:
    args = {k: v for k, v in config.get("model_args", {}).items() if v is not None}
    args.setdefault("num_classes", config.get("num_classes"))
    architecture = config["architecture"]
    if architecture.startswith(_OWN_FAMILIES):
        args.update({key: "none" for key in ("stem", "body") if config.get("model_args", {}).get(key, "") is None})
    net = timm.create_model(architecture, pretrained=False, **args)
    if config.get("gmconv"):
        net = convert(net, **Conversion.from_dict(config["gmconv"]).to_dict(), preserve=False, inplace=True)
    return net


def _rebuild(config: dict[str, Any], folder: Path, model: nn.Module | Callable[[], nn.Module] | None) -> nn.Module:
    architecture = config.get("architecture")
    if architecture:
        if model is not None:
            raise ValueError(f"{folder} rebuilds itself as {architecture!r}: leave model out.")
        if not is_model(architecture):
            raise ValueError(
                f"{folder}: timm knows no architecture {architecture!r}. Import the package that registers it first, "
                "or update timm."
            )
        net = _build(config)
        known = {**config.get("pretrained_cfg", {}), **{key: config.get(key) for key in _LABEL_KEYS}}
        cfg: Any = net.pretrained_cfg
        cfg.update({key: value for key, value in known.items() if value is not None})
        return net
    if model is None:
        raise ValueError(
            f"{folder} holds a {config.get('class', 'network')} that timm cannot build: pass the plain network, "
            "load(folder, model=MyNet(...))."
        )
    net = model if isinstance(model, nn.Module) else model()
    if config.get("gmconv"):
        net = convert(net, **Conversion.from_dict(config["gmconv"]).to_dict(), preserve=False)
    return net


def _read_config(folder: Path) -> dict[str, Any]:
    for name in (CONFIG_NAME, WEIGHTS_NAME):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} has no {name}: pass a folder that gmconv_zoo.save wrote.")
    try:
        config = json.loads((folder / CONFIG_NAME).read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{folder / CONFIG_NAME} is not JSON: {error}.") from error
    if not isinstance(config, dict) or not {"architecture", "gmconv"} & set(config):
        raise ValueError(f"{folder / CONFIG_NAME} names no architecture: it was not written by gmconv_zoo.save.")
    return config


def _key_difference(net: nn.Module, tensors: dict[str, Any]) -> tuple[set[str], set[str]]:
    own = net.state_dict()
    stored = {own[key].data_ptr() for key in own if key in tensors}
    missing = {key for key in own if key not in tensors and own[key].data_ptr() not in stored}
    return missing, set(tensors) - set(own)


def _describe(missing: set[str], unexpected: set[str], misshaped: set[str] = frozenset()) -> str:  # type: ignore[assignment]
    parts = []
    for word, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", misshaped)):
        if keys:
            names = sorted(keys)
            parts.append(f"{word} {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else ""))
    return "; ".join(parts)
