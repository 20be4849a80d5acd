"""Ways to set up a fault on the loopback servers: each takes a name and returns fields of the spec that meets it."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import timm
import torch
from safetensors.torch import save
from torch import Tensor

import gmconv_zoo  # noqa: F401  registers the models
from tests.servers.files import FileServer
from tests.servers.hub import HubServer
from tests.weights.sources import randomise

__all__ = ["MODEL", "WIDE", "World"]

MODEL, WIDE = "gmconv_cifar_resnet20", 60_000  # so many classes make a file larger than one block of a download
ALWAYS = 99
StateDict = dict[str, Tensor]
Prepare = Callable[["World", str], dict]


@dataclass(frozen=True)
class World:
    """The servers of a run."""

    hub: HubServer
    files: FileServer


@cache
def _base(model: str, num_classes: int) -> StateDict:
    return randomise(timm.create_model(model, num_classes=num_classes)).state_dict()


def tensors(slug: str, *, model: str = "stdconv_cifar_resnet20", num_classes: int = 10) -> StateDict:
    """A file's tensors, different for every case."""
    state_dict = dict(_base(model, num_classes))
    state_dict["fc.bias"] = torch.randn(num_classes, generator=torch.Generator().manual_seed(sum(slug.encode())))
    return state_dict


def repo_of(slug: str) -> str:
    return f"gmconv-zoo/{slug}"


def good(
    *,
    download: dict[str, Any] | None = None,
    request: dict[str, Any] | None = None,
    change: Callable[[StateDict], object] = len,
    encode: Callable[[StateDict], bytes] = save,
    stored: str = "model.safetensors",
    num_classes: int = 10,
    native: bool = False,
    gated: bool = False,
    **fields: object,
) -> Prepare:
    """A repository with a file, good unless something is said.

    Args:
        download: fault of every download of the file, as arguments of `HubServer.fault`.
        request: fault of every request about the repository.
        change: alters the tensors in place.
        encode: makes the file's bytes.
        stored: name of the file in the repository.
        num_classes: outputs of the network.
        native: the file is of a network with masks.
        gated: strangers may not read it.
        **fields: fields of the spec, which may be wrong.
    """

    def prepare(world: World, slug: str) -> dict:
        name, model = repo_of(slug), MODEL if native else "stdconv_cifar_resnet20"
        state_dict = tensors(slug, model=model, num_classes=num_classes)
        change(state_dict)
        world.hub.put(name, {stored: encode({key: value.contiguous() for key, value in state_dict.items()})})
        world.hub.store.repos[name]["gated"] = gated
        sha = world.hub.store.tree(name, "main")[stored]["sha"]
        for pattern, fault in ((f"GET /_cdn/{sha}", download), (f"HEAD /{name}/", request)):
            if fault is not None:
                world.hub.fault(pattern, **{"times": ALWAYS, **fault})
        conversion = "native" if native else "standard"
        return {"hf_hub_id": name, "num_classes": num_classes, "conversion": conversion, **fields}

    return prepare


def download_fault(kind: str, *, num_classes: int = 10, **details: object) -> Prepare:
    return good(download={"kind": kind, **details}, num_classes=num_classes)


def request_fault(kind: str, **details: object) -> Prepare:
    return good(request={"kind": kind, **details})


def pickled(stored: str) -> Prepare:
    return good(encode=_pickle, stored=stored)


def changed(change: Callable[[StateDict], object], *, native: bool = False) -> Prepare:
    return good(change=change, native=native)


gated = good(gated=True)


def cached(world: World, slug: str) -> dict:
    """The repository of the case "busy-warm", which is in the cache by then."""
    return {"hf_hub_id": repo_of("busy-warm")}


def nowhere(world: World, slug: str) -> dict:
    return {"hf_hub_id": repo_of(slug)}


def _pickle(state_dict: StateDict) -> bytes:
    buffer = io.BytesIO()
    torch.save(state_dict, buffer)
    return buffer.getvalue()


def by_url(*, fault: int | str = "", prefix: str = "") -> Prepare:
    """A torchvision file, whose name carries the first digits of its sha256."""

    def prepare(world: World, slug: str) -> dict:
        content = _pickle(tensors(slug))
        known = prefix or hashlib.sha256(content).hexdigest()[:8]
        path = f"/models/{slug}-{known}.pth"
        world.files.files[path] = content
        if fault:
            world.files.faults[path] = fault
        return {"url": world.files.url + path, "sha256_prefix": known}

    return prepare


def drop(*keys: str) -> Callable[[StateDict], None]:
    def change(state_dict: StateDict) -> None:
        for key in keys:
            del state_dict[key]

    return change


def put(key: str, value: Callable[[StateDict], Tensor]) -> Callable[[StateDict], None]:
    def change(state_dict: StateDict) -> None:
        state_dict[key] = value(state_dict)

    return change


def nan(state_dict: StateDict) -> Tensor:
    return state_dict["fc.weight"].clone().index_fill_(0, torch.tensor([3]), float("nan"))


def without_most_sigmas(state_dict: StateDict) -> None:
    sigmas = [key for key in state_dict if "sigma" in key]
    drop(*sigmas[3:])(state_dict)


def without_sigmas(state_dict: StateDict) -> None:
    drop(*[key for key in state_dict if "sigma" in key])(state_dict)
