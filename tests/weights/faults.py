"""Ways to set up a fault on the loopback servers: each takes a name and returns fields of the spec that meets it."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

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


def _offer(world: World, slug: str, content: bytes, filename: str = "model.safetensors") -> str:
    """Put a file into the case's repository and return a pattern that matches its download."""
    world.hub.put(repo_of(slug), {filename: content})
    entry = world.hub.store.tree(repo_of(slug), "main")[filename]
    return f"GET /_cdn/{entry['sha']}"


def download_fault(kind: str, *, times: int = ALWAYS, num_classes: int = 10, **details: object) -> Prepare:
    """A good file whose download goes wrong."""

    def prepare(world: World, slug: str) -> dict:
        pattern = _offer(world, slug, save(tensors(slug, num_classes=num_classes)))
        world.hub.fault(pattern, kind, times=times, **details)
        return {"hf_hub_id": repo_of(slug), "num_classes": num_classes}

    return prepare


def request_fault(kind: str, *, times: int = ALWAYS, after: int = 0, **details: object) -> Prepare:
    """A good file whose repository cannot be asked."""

    def prepare(world: World, slug: str) -> dict:
        _offer(world, slug, save(tensors(slug)))
        world.hub.fault(f"HEAD /{repo_of(slug)}/", kind, times=times, after=after, **details)
        return {"hf_hub_id": repo_of(slug)}

    return prepare


def good(*, num_classes: int = 10, **fields: object) -> Prepare:
    """A good file, and a spec that may be wrong."""

    def prepare(world: World, slug: str) -> dict:
        _offer(world, slug, save(tensors(slug, num_classes=num_classes)))
        return {"hf_hub_id": repo_of(slug), "num_classes": num_classes, **fields}

    return prepare


def gated(world: World, slug: str) -> dict:
    _offer(world, slug, save(tensors(slug)))
    world.hub.flags(repo_of(slug), gated=True)
    return {"hf_hub_id": repo_of(slug)}


def same_as(other: str) -> Prepare:
    """The repository of another case, which is in the cache by then."""
    return lambda world, slug: {"hf_hub_id": repo_of(other)}


def nowhere(world: World, slug: str) -> dict:
    return {"hf_hub_id": repo_of(slug)}


def pickled(filename: str) -> Prepare:
    """A repository that holds a pickle under some name."""

    def prepare(world: World, slug: str) -> dict:
        buffer = io.BytesIO()
        torch.save(tensors(slug), buffer)
        _offer(world, slug, buffer.getvalue(), filename)
        return {"hf_hub_id": repo_of(slug)}

    return prepare


def changed(change: Callable[[StateDict], object], *, native: bool = False) -> Prepare:
    """A sound file with the wrong tensors."""

    def prepare(world: World, slug: str) -> dict:
        state_dict = tensors(slug, model=MODEL if native else "stdconv_cifar_resnet20")
        change(state_dict)
        _offer(world, slug, save({key: value.contiguous() for key, value in state_dict.items()}))
        return {"hf_hub_id": repo_of(slug), "conversion": "native" if native else "standard"}

    return prepare


def by_url(*, fault: int | str = "", prefix: str = "") -> Prepare:
    """A torchvision file, whose name carries the first digits of its sha256."""

    def prepare(world: World, slug: str) -> dict:
        buffer = io.BytesIO()
        torch.save(tensors(slug), buffer)
        known = prefix or hashlib.sha256(buffer.getvalue()).hexdigest()[:8]
        path = f"/models/{slug}-{known}.pth"
        world.files.files[path] = buffer.getvalue()
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
