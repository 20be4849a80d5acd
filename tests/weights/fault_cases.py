"""Everything that can go wrong with a weight, and what its user has to be told."""

from dataclasses import dataclass

import torch

from tests.servers.hub import STRANGER, WRITER
from tests.weights.faults import (
    WIDE,
    Prepare,
    by_url,
    cached,
    changed,
    download_fault,
    drop,
    gated,
    good,
    nan,
    nowhere,
    pickled,
    put,
    request_fault,
    without_most_sigmas,
    without_sigmas,
)

__all__ = ["CASES", "LOADS", "Case"]

LOADS = "loads"


@dataclass(frozen=True)
class Case:
    """One fault.

    Attributes:
        title: the table's first column.
        slug: tag of its spec and name of its repository.
        prepare: sets up the servers and returns fields of the spec.
        expect: what the message has to say; "loads" where the model is created all the same.
        process: "online", "dead" (the Hub's address does not answer) or "offline" (HF_HUB_OFFLINE).
        token: HF_TOKEN.
        warm: pull once, unrecorded, before the pull that is recorded.
        harm: flip a byte of the cached file before the recorded pull.
        small_disk: download to a disk that is too small.
        kept: a file stays in the cache, because it is what the Hub offers.
    """

    title: str
    slug: str
    prepare: Prepare
    expect: str
    process: str = "online"
    token: str = ""
    warm: bool = False
    harm: bool = False
    small_disk: bool = False
    kept: bool = False


CASES = [
    Case("a byte of a weight flipped on the way", "flip", download_fault("corrupt"), "damaged.*declared.*deleted"),
    Case("a byte of the header flipped on the way", "flip-header", download_fault("corrupt", at=9), "damaged.*deleted"),
    Case("a byte flipped in the cache, later", "rot", good(), "damaged.*declared.*deleted", harm=True),
    Case("another file than the release knows", "other", good(sha256="0" * 64), "not the file this release", kept=True),
    Case("a truncated body", "short", download_fault("short", by=100), "cut short; nothing of it is used"),
    Case(
        "the connection cut, then resumed",
        "resume",
        download_fault("truncate", times=1, at=11 << 20, num_classes=WIDE),
        LOADS,
    ),
    Case("the connection cut every time", "cut", download_fault("truncate", at=1000), "could not be reached"),
    Case("503 once", "busy-once", request_fault("status", code=503, times=1), LOADS),
    Case("503", "busy", request_fault("status", code=503), "busy or down .HTTP 503.. Try again"),
    Case("429", "rate", request_fault("status", code=429), "busy or down .HTTP 429.. Try again"),
    Case("503, file cached", "busy-warm", request_fault("status", code=503, after=1), LOADS, warm=True),
    Case("connection dropped, file cached", "drop-warm", request_fault("drop", after=1), LOADS, warm=True),
    Case("no such repository", "absent", nowhere, "does not exist on the Hub, or is private. Set HF_TOKEN"),
    Case("no such repository, with a token", "absent-token", nowhere, "does not exist on the Hub", token=STRANGER),
    Case("no such revision", "revision", good(revision="0" * 40), "has no revision 0+. Update"),
    Case("no such file", "file", good(filename="absent.safetensors"), "has no file absent.safetensors"),
    Case("a gated repository, no token", "gated", gated, "is gated. Ask for access.*set HF_TOKEN"),
    Case("a gated repository, a token without access", "gated-out", gated, "your token has no access", token=STRANGER),
    Case("a gated repository, a token with access", "gated-in", gated, LOADS, token=WRITER),
    Case("only a pickle in the repository", "pickle", pickled("pytorch_model.bin"), "no file model.saf.*pickles"),
    Case("a pickle named model.safetensors", "posing", pickled("model.safetensors"), "not in the safet", kept=True),
    Case("a tensor is missing", "missing", changed(drop("layer2.0.bn1.bias")), "missing layer2.0.bn1.bias", kept=True),
    Case("the classifier is missing", "headless", changed(drop("fc.weight", "fc.bias")), "missing fc.bias", kept=True),
    Case("a tensor too many", "extra", changed(put("more", lambda _: torch.ones(1))), "unexpected more", kept=True),
    Case(
        "a tensor of another shape",
        "shape",
        changed(put("layer1.0.conv1.weight", lambda state: state["layer1.0.conv1.weight"][:8])),
        r"layer1.0.conv1.weight has shape \(8, 16, 3, 3\), expected \(16, 16, 3, 3\)",
        kept=True,
    ),
    Case("NaN in a tensor", "nan", changed(put("fc.weight", nan)), "values that are not finite", kept=True),
    Case(
        "some but not all sigmas", "sigmas", changed(without_most_sigmas, native=True), "some of the sigmas", kept=True
    ),
    Case("no sigma at all", "plain", changed(without_sigmas, native=True), "carries no sigma", kept=True),
    Case(
        "sigmas in a file declared standard",
        "masked",
        changed(put("layer1.0.conv1.sigma", lambda _: torch.ones(1))),
        "but this name stands for a standard network's weights",
        kept=True,
    ),
    Case("another file behind a url", "url-other", by_url(prefix="01234567"), "sha256 .* and was not kept"),
    Case("a truncated body behind a url", "url-short", by_url(fault="truncate"), "sha256 .* and was not kept"),
    Case("no such file behind a url", "url-absent", by_url(fault=404), "there is no .*HTTP 404"),
    Case("503 behind a url", "url-busy", by_url(fault=503), "busy or down .HTTP 503."),
    Case("a byte of a url's file flipped in the cache, later", "url-rot", by_url(), "damaged.*deleted", harm=True),
    Case("nobody answers", "dead", good(), "could not be reached.*HF_ENDPOINT", process="dead"),
    Case("nobody answers, file cached", "dead-warm", cached, LOADS, process="dead"),
    Case("HF_HUB_OFFLINE=1", "offline", good(), "HF_HUB_OFFLINE is set.*without HF_HUB_OFFLINE", process="offline"),
    Case("HF_HUB_OFFLINE=1, file cached", "offline-warm", cached, LOADS, process="offline"),
    Case("the disk is full", "full", good(num_classes=WIDE), "no space.*Free", small_disk=True),
]
