"""Everything that can go wrong with a weight: how it is set up on loopback servers, and what its user is told."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import timm
import torch
from safetensors.torch import save
from torch import Tensor

import gmconv_zoo  # noqa: F401  registers the models
from tests.servers.files import FileServer
from tests.servers.hub import STRANGER, WRITER, HubServer
from tests.weights.sources import randomise

__all__ = ["CASES", "LOADS", "Case", "prepare", "tensors"]

LOADS = "loads"
MODEL, WIDE = "gmconv_cifar_resnet20", 60_000  # so many classes make a file larger than one block of a download
ALWAYS = 99
StateDict = dict[str, Tensor]


@dataclass(frozen=True)
class Case:
    """One fault; a repository with a good file unless something is said.

    Attributes:
        title: the table's first column.
        slug: tag of its spec and name of its repository.
        expect: what the message has to say; "loads" where the model is created all the same.
        spec: fields of the spec, which may be wrong.
        download: fault of every download of the file, as arguments of `HubServer.fault`; behind a url as those of
            `FileServer.faults`.
        request: fault of every request about the repository.
        change: alters the file's tensors in place.
        encode: makes the file's bytes.
        stored: name of the file in the repository; empty for no repository.
        num_classes, native: outputs of the file's network, and whether it has masks.
        by_url: a torchvision file, whose name carries the first digits of its sha256, instead of a repository.
        gated: strangers may not read the repository.
        like: slug of an earlier case, whose repository is meant.
        process: "online", "dead" (the Hub's address does not answer) or "offline" (HF_HUB_OFFLINE).
        token: HF_TOKEN.
        warm: pull once, unrecorded, before the pull that is recorded.
        harm: flip a byte of the cached file before the recorded pull.
        small_disk: download to a disk that is too small.
        kept: a file stays in the cache, because it is what the Hub offers.
    """

    title: str
    slug: str
    expect: str
    spec: dict[str, Any] = field(default_factory=dict)
    download: Any = None
    request: dict[str, Any] | None = None
    change: Callable[[StateDict], object] = len
    encode: Callable[[StateDict], bytes] = save
    stored: str = "model.safetensors"
    num_classes: int = 10
    native: bool = False
    by_url: bool = False
    gated: bool = False
    like: str = ""
    process: str = "online"
    token: str = ""
    warm: bool = False
    harm: bool = False
    small_disk: bool = False
    kept: bool = False


@cache
def _base(model: str, num_classes: int) -> StateDict:
    return randomise(timm.create_model(model, num_classes=num_classes)).state_dict()


def tensors(case: Case) -> StateDict:
    """A file's tensors, different for every case."""
    state_dict = dict(_base(MODEL if case.native else "stdconv_cifar_resnet20", case.num_classes))
    generator = torch.Generator().manual_seed(sum((case.like or case.slug).encode()))
    state_dict["fc.bias"] = torch.randn(case.num_classes, generator=generator)
    case.change(state_dict)
    return {key: value.contiguous() for key, value in state_dict.items()}


def prepare(case: Case, hub: HubServer, files: FileServer) -> dict[str, Any]:
    """Set up a fault on the servers, and return the fields of the spec that meets it."""
    fields = {"model": MODEL, "tag": case.slug, "licence": "apache-2.0", "source": "a test"}
    fields |= {"conversion": "native" if case.native else "standard", "num_classes": case.num_classes}
    name = f"gmconv-zoo/{case.like or case.slug}"
    if case.by_url:
        content = _pickle(tensors(case))
        known = case.spec.get("sha256_prefix", hashlib.sha256(content).hexdigest()[:8])
        path = f"/models/{case.slug}-{known}.pth"
        files.files[path] = content
        if case.download:
            files.faults[path] = case.download
        return {**fields, "url": files.url + path, "sha256_prefix": known}
    if case.stored and not case.like:
        hub.put(name, {case.stored: case.encode(tensors(case))})
        hub.store.repos[name]["gated"] = case.gated
        sha = hub.store.tree(name, "main")[case.stored]["sha"]
        for pattern, fault in ((f"GET /_cdn/{sha}", case.download), (f"HEAD /{name}/", case.request)):
            if fault is not None:
                hub.fault(pattern, **{"times": ALWAYS, **fault})
    return {**fields, "hf_hub_id": name, **case.spec}


def _pickle(state_dict: StateDict) -> bytes:
    buffer = io.BytesIO()
    torch.save(state_dict, buffer)
    return buffer.getvalue()


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


def without_sigmas(state_dict: StateDict, kept: int = 0) -> None:
    drop(*[key for key in state_dict if "sigma" in key][kept:])(state_dict)


def status(code: int, **details: int) -> dict[str, Any]:
    return {"kind": "status", "code": code, **details}


CASES = [
    Case("a byte of a weight flipped on the way", "flip", "damaged.*declared.*deleted", download={"kind": "corrupt"}),
    Case(
        "a byte of the header flipped on the way",
        "flip-header",
        "damaged.*deleted",
        download={"kind": "corrupt", "at": 9},
    ),
    Case("a byte flipped in the cache, later", "rot", "damaged.*declared.*deleted", harm=True),
    Case(
        "another file than the release knows",
        "other",
        "not the file this release",
        spec={"sha256": "0" * 64},
        kept=True,
    ),
    Case("a truncated body", "short", "cut short; nothing of it is used", download={"kind": "short", "by": 100}),
    Case(
        "the connection cut, then resumed",
        "resume",
        LOADS,
        download={"kind": "truncate", "times": 1, "at": 11 << 20},
        num_classes=WIDE,
    ),
    Case("the connection cut every time", "cut", "could not be reached", download={"kind": "truncate", "at": 1000}),
    Case("503 once", "busy-once", LOADS, request=status(503, times=1)),
    Case("503", "busy", "busy or down .HTTP 503.. Try again", request=status(503)),
    Case("429", "rate", "busy or down .HTTP 429.. Try again", request=status(429)),
    Case("503, file cached", "busy-warm", LOADS, request=status(503, after=1), warm=True),
    Case("connection dropped, file cached", "drop-warm", LOADS, request={"kind": "drop", "after": 1}, warm=True),
    Case("no such repository", "absent", "does not exist on the Hub, or is private. Set HF_TOKEN", stored=""),
    Case("no such repository, with a token", "absent-token", "does not exist on the Hub", stored="", token=STRANGER),
    Case("no such revision", "revision", "has no revision 0+. Update", spec={"revision": "0" * 40}),
    Case("no such file", "file", "has no file absent.safetensors", spec={"filename": "absent.safetensors"}),
    Case("a gated repository, no token", "gated", "is gated. Ask for access.*set HF_TOKEN", gated=True),
    Case(
        "a gated repository, a token without access",
        "gated-out",
        "your token has no access",
        gated=True,
        token=STRANGER,
    ),
    Case("a gated repository, a token with access", "gated-in", LOADS, gated=True, token=WRITER),
    Case(
        "only a pickle in the repository",
        "pickle",
        "no file model.saf.*pickles",
        encode=_pickle,
        stored="pytorch_model.bin",
    ),
    Case("a pickle named model.safetensors", "posing", "not in the safet", encode=_pickle, kept=True),
    Case("a tensor is missing", "missing", "missing layer2.0.bn1.bias", change=drop("layer2.0.bn1.bias"), kept=True),
    Case(
        "the classifier is missing",
        "headless",
        "missing fc.bias",
        change=drop("fc.weight", "fc.bias"),
        kept=True,
    ),
    Case("a tensor too many", "extra", "unexpected more", change=put("more", lambda _: torch.ones(1)), kept=True),
    Case(
        "a tensor of another shape",
        "shape",
        r"layer1.0.conv1.weight has shape \(8, 16, 3, 3\), expected \(16, 16, 3, 3\)",
        change=put("layer1.0.conv1.weight", lambda state: state["layer1.0.conv1.weight"][:8]),
        kept=True,
    ),
    Case("NaN in a tensor", "nan", "values that are not finite", change=put("fc.weight", nan), kept=True),
    Case(
        "some but not all sigmas",
        "sigmas",
        "some of the sigmas",
        change=partial(without_sigmas, kept=3),
        native=True,
        kept=True,
    ),
    Case("no sigma at all", "plain", "carries no sigma", change=without_sigmas, native=True, kept=True),
    Case(
        "sigmas in a file declared standard",
        "masked",
        "but this name stands for a standard network's weights",
        change=put("layer1.0.conv1.sigma", lambda _: torch.ones(1)),
        kept=True,
    ),
    Case(
        "another file behind a url",
        "url-other",
        "sha256 .* and was not kept",
        spec={"sha256_prefix": "01234567"},
        by_url=True,
    ),
    Case("a truncated body behind a url", "url-short", "sha256 .* and was not kept", download="truncate", by_url=True),
    Case("no such file behind a url", "url-absent", "there is no .*HTTP 404", download=404, by_url=True),
    Case("503 behind a url", "url-busy", "busy or down .HTTP 503.", download=503, by_url=True),
    Case("a byte of a url's file flipped in the cache, later", "url-rot", "damaged.*deleted", by_url=True, harm=True),
    Case("nobody answers", "dead", "could not be reached.*HF_ENDPOINT", process="dead"),
    Case("nobody answers, file cached", "dead-warm", LOADS, like="busy-warm", process="dead"),
    Case("HF_HUB_OFFLINE=1", "offline", "HF_HUB_OFFLINE is set.*without HF_HUB_OFFLINE", process="offline"),
    Case("HF_HUB_OFFLINE=1, file cached", "offline-warm", LOADS, like="busy-warm", process="offline"),
    Case("the disk is full", "full", "no space.*Free", num_classes=WIDE, small_disk=True),
]
