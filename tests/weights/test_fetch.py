"""How often the Hub is asked, where files lie, and that a bad download does not outlive its discovery."""

import hashlib
import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save
from torch import nn

import gmconv_zoo
from gmconv_zoo.weights.check import check_file, discard
from gmconv_zoo.weights.errors import WeightsError
from gmconv_zoo.weights.fetch import check_sha256, fetch
from gmconv_zoo.weights.specs import SPECS, WeightSpec
from tests.servers.client import client_env, run_client
from tests.servers.hub import HubServer

OPENED = ("opened", "unknown")
CHUNK = 10 << 20  # bytes that huggingface_hub writes at a time
FIELDS = {"model": "gmconv_resnet18", "conversion": "standard", "licence": "apache-2.0", "source": "a test"}
CLIENT = """
import dataclasses, time
from pathlib import Path
from huggingface_hub import CommitOperationAdd, HfApi
from gmconv_zoo.saving.named import open_model
from gmconv_zoo.weights.check import sha256_of
from gmconv_zoo.weights.errors import WeightsError
from gmconv_zoo.weights.fetch import fetch
from gmconv_zoo.weights.specs import WeightSpec
time.sleep = lambda seconds: None
found = {}
for fields in _json.loads(_os.environ["SPECS"]):
    spec = WeightSpec(**fields)
    cache_dir = _os.environ["ELSEWHERE"] if spec.tag == "elsewhere" else None
    paths = [fetch(spec, cache_dir=cache_dir) for _ in range(2)] if spec.tag != "flip" else []
    if spec.tag == "flip":
        try:
            fetch(spec)
        except WeightsError:
            paths.append(fetch(spec))
    if spec.tag == "newer":
        newer = CommitOperationAdd("model.safetensors", _os.environ["NEWER"])
        HfApi(token="hf_loopback_writer").create_commit(spec.hf_hub_id, [newer], commit_message="newer")
        paths.append(fetch(spec))
    found[spec.tag] = [(str(path), sha256_of(path)) for path in paths]
def refused(name):
    try:
        open_model(name)
    except RuntimeError as error:
        return str(error)
named = ("gmconv/hand", f"gmconv/hand@{_os.environ['FIRST']}", "hf-hub:gmconv/hand@v1", "gmconv/own")
opened = [open_model(name).fc.bias.tolist() for name in named]
unknown = [refused(name) for name in ("gmconv/missing", "gmconv_zoo/detectio", "resnet18")]
report(**found, opened=opened, unknown=unknown)
"""


def content(name: str, size: int = 1000) -> bytes:
    return save({name: torch.arange(float(size))})


def files_of(net: nn.Module, folder: Path, bias: float) -> dict[str, bytes]:
    """The files of a saved network whose classifier has this bias."""
    nn.init.constant_(net.fc.bias, bias)
    return {path.name: path.read_bytes() for path in gmconv_zoo.save(net, folder).iterdir()}


@pytest.fixture(scope="module")
def pulled(tmp_path_factory):
    """Every case in one client: the server, the client's folder, and tag -> [(path, sha256), ...]."""
    folder = tmp_path_factory.mktemp("fetch")
    hub = HubServer(folder / "hub")
    specs = []
    for tag, size in {"pinned": 1000, "branch": 1000, "elsewhere": 1000, "flip": 1000, "resumed": 4 << 20}.items():
        commit = hub.put(f"gmconv/{tag}", {"model.safetensors": content(tag, size)})
        revision = commit if tag in ("pinned", "flip") else ""
        specs.append({**FIELDS, "tag": tag, "hf_hub_id": f"gmconv/{tag}", "revision": revision})
    hub.put("gmconv/newer", {"model.safetensors": content("old")})
    specs.append({**FIELDS, "tag": "newer", "hf_hub_id": "gmconv/newer"})
    hub.fault(download_of("flip"), "corrupt")
    hub.fault(download_of("resumed", 4 << 20), "truncate", at=CHUNK + 1000)
    older = hub.put("gmconv/commits", {"model.safetensors": content("older")})
    hub.put("gmconv/commits", {"model.safetensors": content("latest")})
    specs += [
        {**FIELDS, "tag": tag, "hf_hub_id": "gmconv/commits", "revision": revision}
        for tag, revision in (("latest", ""), ("older", older))
    ]
    by_hand = gmconv_zoo.convert(timm.create_model("stdconv_cifar_resnet20", num_classes=2))  # timm cannot load it
    hand = [hub.put("gmconv/hand", files_of(by_hand, folder / "hand", bias)) for bias in (1.0, 2.0)]
    hub.tag("gmconv/hand", "v1", hand[0])
    hub.put("gmconv/own", files_of(timm.create_model("sgmconv_cifar_resnet20", num_classes=2), folder / "own", 3.0))
    env = client_env(folder, endpoint=hub.url) | {"FIRST": hand[0]}
    (folder / "newer").write_bytes(content("new"))
    env |= {"SPECS": json.dumps(specs), "ELSEWHERE": str(folder / "elsewhere"), "NEWER": str(folder / "newer")}
    result = run_client(CLIENT, env).result
    yield hub, folder, result
    hub.close()


def download_of(name: str, size: int = 1000) -> str:
    return f"GET /_cdn/{hashlib.sha256(content(name, size)).hexdigest()}"


@pytest.mark.parametrize(
    ("name", "methods"),
    [
        ("pinned", ["HEAD", "GET"]),  # the first of two pulls
        ("branch", ["HEAD", "GET", "HEAD"]),
        ("flip", ["HEAD", "GET", "HEAD", "GET"]),
    ],
)
def test_hub_is_asked_no_more_than_is_needed(pulled, name, methods):
    """A pinned revision in a warm cache needs no request, a branch one; what was damaged is pulled again."""
    rows = [(row["method"], row["path"]) for row in pulled[0].journal()]
    download = download_of(name).split()[1]
    assert [method for method, path in rows if f"/gmconv/{name}/resolve" in path or path == download] == methods


def test_the_file_that_is_asked_for_is_found_whatever_is_cached(pulled):
    hub, folder, found = pulled
    old, new, latest, older, flip, resumed = (
        hashlib.sha256(content(name, size)).hexdigest()
        for name, size in (*((name, 1000) for name in ("old", "new", "latest", "older", "flip")), ("resumed", 4 << 20))
    )
    digests = {name: [digest for _, digest in rows] for name, rows in found.items() if name not in OPENED}
    assert digests["newer"] == [old, old, new]  # a newer commit of the branch
    assert (digests["latest"], digests["older"]) == ([latest] * 2, [older] * 2)  # a branch, and a pinned revision of it
    assert digests["flip"] == [flip]  # what was damaged is replaced at the next attempt
    ranges = [row["range"] for row in hub.journal() if f"GET {row['path']}" == download_of("resumed", 4 << 20)]
    assert ranges == [None, f"bytes={CHUNK}-"]  # a cut download goes on where it stopped
    assert digests["resumed"][0] == resumed
    assert found["elsewhere"][0][0].startswith(str(folder / "elsewhere"))
    assert found["pinned"][0][0].startswith(str(folder / "hf"))


def test_networks_are_opened_at_a_branch_a_commit_or_a_tag_and_unknown_names_are_refused(pulled):
    found = pulled[2]
    assert found["opened"] == [[2.0, 2.0], [1.0, 1.0], [1.0, 1.0], [3.0, 3.0]]
    missing, misspelt, of_timm = found["unknown"]
    assert missing.startswith("gmconv/missing could not be loaded from the Hub")
    assert "set HF_TOKEN" in missing
    assert "Did you mean detection?" in misspelt
    assert of_timm.startswith("resnet18 could not be loaded from the Hub")


def test_url_is_downloaded_once_to_torch_home(file_server, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    data = b"weights"
    name = f"net-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    file_server.files[f"/{name}"] = data
    spec = WeightSpec(**FIELDS, tag="url", url=f"{file_server.url}/{name}", sha256_prefix=name[4:12])
    assert fetch(spec) == fetch(spec) == tmp_path / "hub" / "checkpoints" / name
    assert file_server.journal == [f"/{name}"]
    assert fetch(spec, cache_dir=tmp_path / "mine") == tmp_path / "mine" / name


def test_pickle_named_by_a_spec_is_refused_before_any_request():
    spec = WeightSpec(**FIELDS, tag="pickle", hf_hub_id="gmconv/net", filename="pytorch_model.bin")
    with pytest.raises(WeightsError, match="not in the safetensors format"):
        fetch(spec)


def hub_layout(folder, data: bytes, name: str):
    """A cache entry as huggingface_hub lays it out with Xet: link to a blob that is a link to a shared store."""
    for part in ("snapshot", "blobs", "store"):
        (folder / part).mkdir()
    (folder / "store" / ("f" * 64)).write_bytes(data)
    (folder / "blobs" / name).symlink_to(f"../store/{'f' * 64}")
    (folder / "snapshot" / "model.safetensors").symlink_to(f"../blobs/{name}")
    return folder / "snapshot" / "model.safetensors"


@pytest.mark.parametrize("same", [0, 8, 63])
@pytest.mark.parametrize("known_to", ["spec", "prefix", "hub"])
def test_every_digit_of_a_hash_counts(tmp_path, known_to, same):
    digest = hashlib.sha256(content("net")).hexdigest()
    other = digest[:same] + ("0" if digest[same] != "0" else "1") + digest[same + 1 :]
    for declared, status in ((digest, "ok"), (other, "damaged")):
        known = {"spec": {"sha256": declared}, "prefix": {"sha256_prefix": declared[: same + 1]}, "hub": {}}[known_to]
        folder = tmp_path / status
        folder.mkdir()
        path = hub_layout(folder, content("net"), declared if known_to == "hub" else "blob")
        spec = WeightSpec(**FIELDS, tag="digits", hf_hub_id="gmconv/net", **known)
        assert check_file(path, spec).status == status


def test_content_counts_and_what_is_new_or_unknown_is_no_damage(tmp_path, caplog):
    path = hub_layout(tmp_path, content("xet"), hashlib.sha256(content("xet")).hexdigest())
    spec = WeightSpec(**FIELDS, tag="xet", hf_hub_id="gmconv/net")
    assert check_file(path, spec).status == "ok"  # though the link leads to a blob of another name
    renewed = WeightSpec(**FIELDS, tag="renewed", hf_hub_id="gmconv/net", sha256="a" * 64)
    assert check_file(path, renewed).status == "unexpected"
    with pytest.raises(WeightsError, match=r"not the file this release of gmconv_zoo knows.*left where it is"):
        check_sha256(path, renewed)
    path.resolve().write_bytes(content("other"))
    assert check_file(path, spec).status == "damaged"
    (tmp_path / "model.safetensors").write_bytes(content("plain"))
    check_sha256(tmp_path / "model.safetensors", spec)
    assert "could not be checked" in caplog.text


def test_discarding_leaves_nothing_to_load_but_the_users_own_file(tmp_path):
    discard(hub_layout(tmp_path, content("xet"), "a" * 64), SPECS["gmconv_resnet18.from_tv_in1k"])
    assert not [path for path in tmp_path.rglob("*") if not path.is_dir()]
    (tmp_path / "store.pth").write_bytes(content("own"))
    (tmp_path / "alexnet.pth").symlink_to(tmp_path / "store.pth")
    discard(tmp_path / "alexnet.pth", SPECS["gmconv_alexnet.from_tv_in1k"])
    assert [path.name for path in tmp_path.rglob("*.pth")] == ["store.pth"]


def test_read_only_cache_is_named_when_damage_cannot_be_deleted(tmp_path, monkeypatch):
    spec = WeightSpec(**FIELDS, tag="shared", hf_hub_id="gmconv/net")
    path = hub_layout(tmp_path, content("xet"), "a" * 64)

    def refuse(path: object, _spec: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("gmconv_zoo.weights.fetch.discard", refuse)
    with pytest.raises(WeightsError, match=r"damaged.*could not be deleted.*Permission denied.*delete it"):
        check_sha256(path, spec)
