"""Publishing against a loopback Hub, and what others then load from it."""

import hashlib
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import HfApi
from safetensors.torch import load_file

import gmconv_zoo
from gmconv_zoo.hub.publish import PublishError, publish, spec_row
from gmconv_zoo.hub.stage import stage
from gmconv_zoo.weights.specs import Metric, WeightSpec
from tests.hub.folders import METRIC, trained
from tests.servers.client import client_env, run_client
from tests.servers.hub import HubServer

REPO = "gmconv/gmconv_cifar_resnet20.gm_test"
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def staged(gm_folder, tmp_path_factory):
    return stage(gm_folder, tmp_path_factory.mktemp("staged"), repo_id=REPO, measured=METRIC)


def tags(hub) -> dict[str, str]:
    return dict(hub.store.repos[REPO]["tags"])


def commits(hub) -> list[dict]:
    """The commits that were made over the wire."""
    return [row for row in hub.journal() if row["method"] == "POST" and "/commit/" in row["path"]]


def forget_upload(hub, folder: Path) -> None:
    """Drop the content of weights that an earlier test uploaded: the Hub takes the same bytes only once."""
    hub.store.path_of(sha256(folder / WEIGHTS)).unlink(missing_ok=True)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("tag", ["", "v 1", "v..1", ".v1", "v1.", "a/b", "v1~2"])
def test_a_tag_that_git_does_not_take_is_refused_before_anything_is_sent(loopback, staged, tag):
    with pytest.raises(ValueError, match=r"tag=.*pass letters and digits"):
        publish(staged, tag=tag)
    assert loopback.journal() == []


def test_everything_arrives_in_one_tagged_commit(loopback, staged):
    (staged.folder / ".notes").write_text("private")
    spec = publish(staged, tag="v1")
    names = {"README.md", "config.json", "model.safetensors", "results.json"}
    assert set(loopback.files(REPO, "v1")) - {".gitattributes"} == names == {path.name for path in staged.files}
    assert len(commits(loopback)) == 1
    assert tags(loopback) == {"v1": spec.revision}
    for path in staged.files:
        assert loopback.read(REPO, path.name, spec.revision) == path.read_bytes()
    assert spec.sha256 == sha256(staged.folder / WEIGHTS)
    assert eval(spec_row(spec), {"WeightSpec": WeightSpec, "Metric": Metric}) == spec
    assert "url=" not in spec_row(spec)
    loopback.forget()
    assert publish(staged, tag="v1") == spec  # again, which changes nothing
    assert commits(loopback) == []
    assert publish(staged, tag="v2").revision == spec.revision


def test_published_tag_is_overwritten_only_by_force(loopback, staged, gm_folder, tmp_path):
    changed = stage(gm_folder, tmp_path / "changed", repo_id=REPO, measured=None)  # with another card
    first = publish(staged, tag="v1")
    with pytest.raises(PublishError, match="has a tag v1 with other files"):
        publish(changed, tag="v1")
    assert tags(loopback) == {"v1": first.revision}
    assert loopback.read(REPO, "README.md") == (staged.folder / "README.md").read_bytes()
    second = publish(changed, tag="v1", force=True)
    assert second.revision != first.revision
    assert tags(loopback) == {"v1": second.revision}
    assert loopback.read(REPO, "README.md", "v1") == (changed.folder / "README.md").read_bytes()


@pytest.mark.parametrize(
    "request_pattern",
    [r"POST .*/preupload/", r"PUT .*", r"POST .*/commit/", r"POST .*/tag/"],
    ids=["before", "weights", "commit", "tag"],
)
def test_interrupted_publication_leaves_no_tag_and_resumes(loopback, staged, request_pattern):
    forget_upload(loopback, staged.folder)
    loopback.fault(request_pattern, "status", times=50, code=403)
    with pytest.raises(PublishError, match=r"was not published.*Set HF_TOKEN .*run the same command again"):
        publish(staged, tag="v1")
    assert tags(loopback) == {}
    loopback.forget()
    spec = publish(staged, tag="v1")
    assert tags(loopback) == {"v1": spec.revision}
    assert loopback.read(REPO, WEIGHTS, "v1") == (staged.folder / WEIGHTS).read_bytes()


def test_damage_on_reading_back_is_found_before_tagging(loopback, staged):
    loopback.fault(r"GET /_cdn/", "corrupt", at=9000)
    with pytest.raises(PublishError, match=f"the {WEIGHTS} on the Hub is not what was sent"):
        publish(staged, tag="v1")
    assert tags(loopback) == {}
    assert publish(staged, tag="v1").revision


def test_a_new_repository_is_private_if_asked(loopback, staged, monkeypatch):
    asked, create = [], HfApi.create_repo

    def remember(api, *args, **options):
        asked.append(options["private"])
        return create(api, *args, **options)

    monkeypatch.setattr(HfApi, "create_repo", remember)
    for private in (False, True):
        publish(staged, tag="v1", private=private)
    assert asked == [None, True]


def test_pickle_in_the_repository_is_refused(loopback, staged):
    loopback.put(REPO, {"pytorch_model.bin": b"pickle"})
    with pytest.raises(PublishError, match=r"holds pytorch_model\.bin"):
        publish(staged, tag="v1")
    assert commits(loopback) == []


PUBLISHER = """
import runpy, sys
for arguments in {calls!r}:
    sys.argv = ["gmconv", "publish", *arguments]
    runpy.run_module("gmconv_zoo", run_name="__main__")
"""
CONSUMER = """
import timm, torch
from safetensors.torch import save_file
{imports}
model = timm.create_model("hf-hub:{repo}", pretrained=True)
save_file(model.state_dict(), {out!r})
report(cls=type(model).__name__, classes=model.num_classes)
"""


def consume(env, repo: str, out: Path, *, imports: str = "import gmconv_zoo"):
    outcome = run_client(CONSUMER.format(repo=repo, out=str(out), imports=imports), env)
    return outcome, load_file(out)


def assert_same_tensors(found: dict, expected: Path | dict) -> None:
    expected = gmconv_zoo.load(expected).state_dict() if isinstance(expected, Path) else expected
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_what_the_command_publishes_is_what_timm_loads_and_a_dry_run_publishes_nothing(
    loopback, gm_folder, tmp_path, gmconv
):
    forget_upload(loopback, gm_folder)
    status, printed, _ = gmconv("publish", gm_folder, "--repo", REPO, "--tag", "v1")
    assert status == 0
    assert f"revision='{tags(loopback)['v1']}'" in printed
    assert any(row["method"] == "PUT" for row in loopback.journal())  # the weights went as LFS files
    model = timm.create_model(f"hf-hub:{REPO}@v1", pretrained=True, cache_dir=tmp_path)
    assert (type(model).__name__, model.num_classes) == ("CifarResNet", 10)
    assert_same_tensors(model.state_dict(), gm_folder)
    never = ("publish", gm_folder, "--repo", "gmconv/never", "--dry-run", "--output", tmp_path / "dry")
    assert "tag='v 1': pass letters and digits" in gmconv(*never, "--tag", "v 1")[0]
    assert gmconv(*never)[0] == 0
    assert "gmconv/never" not in loopback.store.repos
    names = sorted(path.name for path in (tmp_path / "dry").iterdir())
    assert names == ["README.md", "config.json", "model.safetensors", "results.json"]


@pytest.mark.slow
def test_fused_publication_needs_no_gmconv_zoo_and_works_offline(hub, tmp_path):
    folder = gmconv_zoo.save(trained("sgmconv_resnet18", num_classes=3), tmp_path / "sgm")
    calls = [[str(folder), "--repo", "gmconv/plain", "--fused", "--no-metric"]]
    run_client(PUBLISHER.format(calls=calls), client_env(tmp_path / "a", endpoint=hub.url, token=hub.token))
    guard = "import sys; sys.modules['gmconv_zoo'] = None"
    fused = gmconv_zoo.fuse(gmconv_zoo.load(folder)).state_dict()
    for offline in (False, True):
        hub.forget()
        env = client_env(tmp_path / "b", endpoint=hub.url, offline=offline)
        outcome, found = consume(env, "gmconv/plain", tmp_path / "plain.safetensors", imports=guard)
        assert outcome.result == {"cls": "ResNet", "classes": 3}
        assert_same_tensors(found, fused)
        assert bool(hub.journal()) is not offline


@pytest.mark.slow
def test_round_trip_with_xet(gm_folder, tmp_path):
    server = HubServer(tmp_path / "hub", xet_cas=f"local://{tmp_path / 'cas'}")
    try:
        xet = {"HF_HUB_DISABLE_XET": "0"}
        calls = [[str(gm_folder), "--repo", REPO, "--tag", "v1"]]
        publisher = client_env(tmp_path / "a", endpoint=server.url, token=server.token) | xet
        run_client(PUBLISHER.format(calls=calls), publisher)
        assert not any(row["method"] == "PUT" for row in server.journal())
        _, found = consume(client_env(tmp_path / "b", endpoint=server.url) | xet, REPO, tmp_path / "found.safetensors")
        assert_same_tensors(found, gm_folder)
        assert not any("/_cdn/" in row["path"] for row in server.journal())
    finally:
        server.close()
