"""Write a network to a folder, and read it back."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_model
from torch import Tensor, nn

from ..conversion import fit_sigma_modules, present_conversion
from ..conversion.plan import FLAT_KERNEL
from ..conversion.stages import CONVOLUTIONS
from ..files.records import write_json
from ..files.replacing import replacing
from ..weights.adapt import unusable
from ..wording import listed
from .config import CONFIG_NAME, NOT_TIMMS, WEIGHTS_NAME, build_from_config, describe, rebuild

__all__ = ["closing_lines", "load", "save"]

# What the values of config.json are, where there are any, and what JSON calls that
_KINDS: dict[str, tuple[type, ...]] = {
    "architecture": (str,),
    **dict.fromkeys(("model_args", "pretrained_cfg", "gmconv", "label_descriptions"), (dict,)),
    "label_names": (list, dict),
    "num_classes": (int,),
}
_IN_JSON = {str: "a string", dict: "an object", list: "a list", int: "a whole number"}
# Settings of convolutions and norms that decide what they compute
_SETTINGS = ("kernel_size", "stride", "padding", "padding_mode", "dilation", "groups", "num_groups", "eps")


def save(model: nn.Module, folder: str | Path, *, label_names: list[str] | None = None) -> Path:
    """Write a network as model.safetensors and config.json.

    A model created by its name, also if it was fused since, loads with
    ``timm.create_model("local-dir:FOLDER", pretrained=True)`` and, from the Hub, with ``"hf-hub:..."``. Others load
    with `load`: a timm network that was converted after it was built, and one that timm does not know.

    Args:
        model: the network. It must not be wrapped (by DataParallel, a feature extractor, torch.compile).
        folder: created if it does not exist; existing files with these names are overwritten.
        label_names: names of the classes in the order of the outputs; None for those that the network was loaded with.

    Returns:
        The folder.

    Raises:
        ValueError: if the network could not be rebuilt from the folder (the message names the difference), is wrapped,
            is on the meta device, has weights that are not finite, or does not fit the label names; nothing has been
            written then.
        OSError: when the folder cannot be written.
    """
    folder = Path(folder)
    config = describe(model, label_names=label_names)
    own = model.state_dict()
    if meta := [name for name, tensor in own.items() if tensor.is_meta]:
        raise ValueError(
            f"{meta[0]} is on the meta device and has no values: load weights into the network before saving it "
            '(model.to_empty(device="cpu"), then load_state_dict).'
        )
    if bad := unusable(own, own):
        raise ValueError(f"the network cannot be saved: {listed(bad, separator='; ')}.")
    if config["architecture"] != NOT_TIMMS or config["gmconv"]["architecture"]:
        _check_rebuilds(model, config)
    folder.mkdir(parents=True, exist_ok=True)
    _write_weights(model, folder / WEIGHTS_NAME)
    write_json(folder / CONFIG_NAME, config)
    return folder


def load(folder: str | Path, *, model: nn.Module | Callable[[], nn.Module] | None = None) -> nn.Module:
    """Rebuild a network that `save` wrote, with its weights.

    Args:
        folder: folder with config.json and model.safetensors.
        model: the plain network, or a function that builds it, if timm does not know the network; otherwise None.

    Returns:
        The network in eval mode, on the CPU, in the dtype it was saved in.

    Raises:
        ValueError: if the folder is incomplete, its network cannot be built, or `model` is not needed.
        RuntimeError: if the tensors do not fit the network or are not finite; nothing has been loaded then.
    """
    folder = Path(folder)
    net = rebuild(_read_config(folder), folder, model)
    try:
        tensors = load_file(folder / WEIGHTS_NAME)
    except SafetensorError as error:
        raise RuntimeError(f"{folder / WEIGHTS_NAME} is damaged or cut short: {error}.") from error
    fit_sigma_modules(net, tensors)
    own = net.state_dict()
    tensors = {key: tensor for key, tensor in tensors.items() if key in own or not _is_of_a_flat_mask(key, net)}
    stored = {own[key].data_ptr() for key in own if key in tensors}  # a tensor with two names is stored under one
    missing = {key for key in own if key not in tensors and own[key].data_ptr() not in stored}
    if difference := _difference(missing, set(tensors) - set(own), _misshaped(own, tensors)):
        raise RuntimeError(f"{folder / WEIGHTS_NAME} does not fit the network: {difference}.")
    if bad := unusable(tensors, own):
        raise RuntimeError(f"{folder / WEIGHTS_NAME} cannot be used: {listed(bad, separator='; ')}.")
    _take_dtypes(net, tensors)
    net.load_state_dict(tensors, strict=False)
    return net.eval()


def _take_dtypes(net: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Give every tensor of a network the dtype it is stored in; those that are not stored get the most frequent one."""
    stored = Counter[torch.dtype]()
    for tensor in tensors.values():
        if tensor.is_floating_point():
            stored[tensor.dtype] += tensor.numel()
    for dtype, _ in stored.most_common(1):
        net.to(dtype)
    # by every name, for a tensor with two of them is stored under one
    for name, value in (*net.named_parameters(remove_duplicate=False), *net.named_buffers(remove_duplicate=False)):
        if name in tensors:
            value.data = value.data.to(tensors[name].dtype)


def _is_of_a_flat_mask(key: str, net: nn.Module) -> bool:
    """Tell whether a tensor is a sigma of a mask that is identically 1, as version 0.1.0 put on 2x2 kernels."""
    name, is_sigma, _ = key.rpartition(".sigma")
    layer = dict(net.named_modules()).get(name) if is_sigma else None
    return isinstance(layer, nn.Conv2d) and max(layer.kernel_size) <= FLAT_KERNEL


def closing_lines(folder: Path, commands: dict[str, str]) -> str:
    """Return lines that name the pictures in the folder of a finished training and what to do next.

    There is a command for each purpose, e.g. {"evaluate": "gmconv validate ..."}.
    """
    pictures = ", ".join(str(path) for path in sorted(folder.glob("*.png")))
    by_timm = _read_config(folder).get("architecture") != NOT_TIMMS
    call = f'timm.create_model("local-dir:{folder}", pretrained=True)' if by_timm else f'gmconv_zoo.load("{folder}")'
    return "\n".join(f"{what}: {text}" for what, text in {"pictures": pictures, **commands, "load": call}.items())


def _write_weights(model: nn.Module, path: Path) -> None:
    """Replace a file of weights as a whole."""
    metadata, conversion = {"format": "pt"}, present_conversion(model)
    if conversion is not None and "dynamic" in (conversion.stem, conversion.body):
        metadata["sigma_design"] = conversion.sigma_design  # gives tensors their meaning, and shapes do not show it
    try:
        with replacing(path) as scratch:
            save_model(model, str(scratch), metadata=metadata)
            _sort_metadata(scratch)
    except (OSError, SafetensorError) as error:  # the latter also for a full disk
        raise OSError(f"{path} cannot be written ({error}): make room or pass another folder.") from error


def _sort_metadata(path: Path) -> None:
    """Order the metadata of a safetensors file, which the library writes in another order each time."""
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")  # the format: size of the header, header in JSON, tensors
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        ordered = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(ordered) <= size:  # the header must not reach into the tensors
            file.seek(8)
            file.write(ordered.ljust(size))


def _check_rebuilds(model: nn.Module, config: dict[str, Any]) -> None:
    with torch.device("meta"):
        twin = build_from_config(config)
    own = model.state_dict()
    fit_sigma_modules(twin, own)
    rebuilt = twin.state_dict()
    if difference := _difference(set(rebuilt) - set(own), set(own) - set(rebuilt), _misshaped(own, rebuilt)):
        raise ValueError(
            f"timm would rebuild another network than this one from architecture="
            f"{model.pretrained_cfg['architecture']!r} and model_args={config.get('model_args', {})}: "  # type: ignore[index]
            f"{difference}. Build it by timm.create_model with all its arguments, or save the state dict yourself."
        )
    for names in sorted(_shared(model) - _shared(twin)):
        raise ValueError(
            f"{listed(names)} are one parameter, but would be rebuilt as several: a change made after building is not "
            "kept. Save the state dict yourself."
        )
    forms = {name: _form(module) for name, module in model.named_modules()}
    for name, module in twin.named_modules():
        form, other = forms.get(name, ""), _form(module)
        if other and form != other:
            raise ValueError(
                f"{name} is {form or 'another module'}, but would be rebuilt as {other}: a change made after building "
                "is not kept. Make it by a constructor argument, or save the state dict yourself."
            )


def _shared(net: nn.Module) -> set[tuple[str, ...]]:
    """Return the names of each parameter that has several."""
    names: dict[int, list[str]] = {}
    for name, parameter in net.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return {tuple(found) for found in names.values() if len(found) > 1}


def _form(module: nn.Module) -> str:
    """Return what a module computes in eval mode, apart from its tensors; empty where its class decides it."""
    kind = type(module).__name__
    if isinstance(module, CONVOLUTIONS) or "Norm" in kind:  # whatever class it is now, fused or synchronised
        settings = [f"{name}={getattr(module, name)}" for name in _SETTINGS if hasattr(module, name)]
        return f"{'Norm' if 'Norm' in kind else 'Conv'}({', '.join(settings)})" if settings else ""
    if "Drop" in kind:
        return "Identity()"
    if isinstance(module, nn.Sequential):
        return f"Sequential({', '.join(name for name, _ in module.named_children())})"
    if any(True for _ in module.children()) or any(True for _ in module.parameters()):
        return ""
    return f"{kind}({module.extra_repr()})"


def _read_config(folder: Path) -> dict[str, Any]:
    for name in (CONFIG_NAME, WEIGHTS_NAME):
        if not (folder / name).is_file():
            if (folder / "checkpoints").is_dir():
                raise ValueError(f"{folder} holds a training that has not ended: go on with it with --resume (resume).")
            raise ValueError(f"{folder} has no {name}: pass a folder that gmconv_zoo.save wrote.")
    try:
        config = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
    except ValueError as error:  # of JSON, or of UTF-8
        raise ValueError(f"{folder / CONFIG_NAME} is not JSON: {error}.") from error
    if not isinstance(config, dict) or not {"architecture", "gmconv"} & set(config):
        raise ValueError(f"{folder / CONFIG_NAME} names no architecture: it was not written by gmconv_zoo.save.")
    for key, kinds in _KINDS.items():
        if key in config and not isinstance(config[key], kinds):
            allowed = " or ".join(_IN_JSON[kind] for kind in kinds)
            raise ValueError(f"{folder / CONFIG_NAME} cannot be used: {key} is {config[key]!r}; it must be {allowed}.")
    return config


def _misshaped(own: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    return {key for key in own.keys() & other.keys() if own[key].shape != other[key].shape}


def _difference(missing: set[str], unexpected: set[str], misshaped: set[str]) -> str:
    parts = {"missing": missing, "unexpected": unexpected, "of another shape": misshaped}
    return "; ".join(f"{word} {listed(keys)}" for word, keys in parts.items() if keys)
