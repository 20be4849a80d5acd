"""gmconv_zoo.hub.verify and its script, on caches written by huggingface_hub and torch.hub themselves."""

import hashlib
from pathlib import Path

import pytest
import torch
from huggingface_hub import hf_hub_download
from safetensors.torch import save

from gmconv_zoo.hub import verify
from gmconv_zoo.weights.specs import SPECS

WEIGHTS = save({"fc.weight": torch.arange(4096.0)})


@pytest.fixture
def cache(loopback, tmp_path):
    """A Hub cache with the file of two specs in it."""
    loopback.put("timm/resnet18.tv_in1k", {"model.safetensors": WEIGHTS})
    hf_hub_download("timm/resnet18.tv_in1k", "model.safetensors", cache_dir=tmp_path)
    return tmp_path


def statuses(cache: Path) -> dict[str, str]:
    return {record.name: record.status for record in verify(cache_dir=cache)}


def test_sound_file_is_ok_and_the_rest_is_missing(cache):
    found = statuses(cache)
    names = ("gmconv_resnet18.from_tv_in1k", "sgmconv_resnet18.from_tv_in1k")
    assert {found.pop(name) for name in names} == {"ok"}
    assert {found[name] for name, spec in SPECS.items() if spec.packaged} == {"ok"}
    assert {status for name, status in found.items() if not SPECS[name].packaged} == {"missing"}
    (record,) = verify("gmconv_resnet18.from_tv_in1k", cache_dir=cache)
    assert record.path.read_bytes() == WEIGHTS
    assert record.sha256 == hashlib.sha256(WEIGHTS).hexdigest()


def test_file_without_a_declared_hash_is_unchecked(cache):
    path = verify("gmconv_resnet18.from_tv_in1k", cache_dir=cache)[0].path
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)  # as on file systems without links
    assert statuses(cache)["gmconv_resnet18.from_tv_in1k"] == "unchecked"


def test_names_patterns_and_bare_models_select():
    def names(asked: str | list[str]) -> list[str]:
        return [record.name for record in verify(asked, cache_dir=".")]

    assert names("stdconv_alexnet.tv_in1k") == ["stdconv_alexnet.tv_in1k"]
    assert names("gmconv_resnet18") == ["gmconv_resnet18.from_tv_in1k", "gmconv_resnet18.from_a1_in1k"]
    assert {name.split("_")[0] for name in names(["*alexnet*"])} == {"gmconv", "sgmconv", "stdconv"}


@pytest.mark.parametrize(
    "part", ["resnet19", "resnet18", "gmconv_resnet1", "gmconv_resnet18.", "gmconv_resnet18.from", "tv_in1k", ""]
)
def test_part_of_a_name_is_no_name(part):
    for asked in (part, ["gmconv_resnet18", part]):
        with pytest.raises(ValueError, match=f"no weight is called '{part}'"):
            verify(asked)


def test_command_prints_a_table_and_fails_on_damage(cache, gmconv):
    status, printed, _ = gmconv("verify", "*resnet18*", "--cache-dir", cache)
    assert status == 0
    assert "4 weights, 2 in the cache, 0 bad" in printed
    path = verify("gmconv_resnet18.from_tv_in1k", cache_dir=cache)[0].path.resolve()
    path.write_bytes(WEIGHTS[:-1] + b"\0")
    status, printed, _ = gmconv("verify", "*resnet18*", "--cache-dir", cache)
    assert status == 1
    assert "damaged" in printed
    assert "the Hub declared" in printed


def test_command_lists_missing_weights_and_refuses_unknown_names(gmconv, tmp_path):
    status, printed, _ = gmconv("verify", "--missing", "--cache-dir", tmp_path)
    assert status == 0
    assert "timm/resnet18.tv_in1k/model.safetensors is not in the cache" in printed
    assert "gmconv verify: no weight is called 'resnet19'" in gmconv("verify", "resnet19")[0]
    missing = gmconv("verify", "--cache-dir", tmp_path / "missing")[0]
    assert "missing' is not a folder: pass one that holds downloads (--cache-dir)" in missing
