"""Push a staged folder to the Hub in one commit, read it back, and tag it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import RemoteEntryNotFoundError

from .._version import __version__
from ..saving import WEIGHTS_NAME
from ..weights.check import sha256_of
from ..weights.specs import WeightSpec
from .stage import Staged

__all__ = ["PublishError", "check_tag", "publish", "spec_row"]

# Formats that a client may load instead of safetensors, and that can run code on loading.
_PICKLES = (".bin", ".ckpt", ".pkl", ".pt", ".pth")
_TAG = re.compile(r"\w+([.+-]\w+)*")


class PublishError(RuntimeError):
    """Publishing failed, and nothing was published under the tag."""


def publish(staged: Staged, *, tag: str = f"v{__version__}", force: bool = False, private: bool = False) -> WeightSpec:
    """Publish a folder under a version.

    All files are pushed in one commit, and the tag is set last, after every file has been read back: the same call
    resumes an interrupted one, and does nothing if the tag already has these files. ``force`` moves a tag that exists
    with other files, and ``private`` makes a new repository private.

    Returns:
        The spec, with the commit and the weights' sha256 filled in.

    Raises:
        ValueError: for a tag that git does not take; nothing has been sent then.
        PublishError: for a tag with other files, a repository with pickles, a Hub that refuses, or damaged files.
    """
    check_tag(tag)
    api, repo_id = HfApi(), staged.spec.hf_hub_id
    digests = {path.name: sha256_of(path) for path in staged.files}
    with _explained(repo_id):
        api.create_repo(repo_id, exist_ok=True, private=private or None)
        commit = {ref.name: ref.target_commit for ref in api.list_repo_refs(repo_id).tags}.get(tag)
        tagged = commit is not None
        if commit is None or _differing(api, repo_id, commit, digests):
            if tagged and not force:
                raise PublishError(f"{repo_id} has a tag {tag} with other files: pass another tag, or force (--force).")
            commit = _commit(api, repo_id, staged.files, tag)
            if differing := _differing(api, repo_id, commit, digests):
                said = f"the {differing[0]} on the Hub is not what was sent; it was not tagged"
                raise PublishError(f"{repo_id}: {said}. Publish again.")
            if tagged:
                api.delete_tag(repo_id, tag=tag)
            api.create_tag(repo_id, tag=tag, revision=commit)
    return replace(staged.spec, revision=commit, sha256=digests[WEIGHTS_NAME])


def check_tag(tag: str) -> None:
    """Raise ValueError for a tag that git does not take."""
    if not _TAG.fullmatch(tag):
        raise ValueError(f"tag={tag!r}: pass letters and digits with single dots, plus or minus signs between (--tag).")


def spec_row(spec: WeightSpec) -> str:
    """Return a spec as the Python expression that makes it, without fields that have their default."""
    values = [(field, getattr(spec, field.name)) for field in fields(spec)]
    lines = [f"    {field.name}={value!r}," for field, value in values if value != field.default]
    return "\n".join(["WeightSpec(", *lines, ")"])


def _commit(api: HfApi, repo_id: str, files: list[Path], tag: str) -> str:
    info = api.model_info(repo_id)
    pickles = [file.rfilename for file in info.siblings or [] if file.rfilename.endswith(_PICKLES)]
    if pickles:
        said = "which clients may load in place of safetensors: delete it on the Hub, or choose another repository"
        raise PublishError(f"{repo_id} holds {pickles[0]}, {said}.")
    operations = [CommitOperationAdd(path.name, path) for path in files]
    # a file that the Hub has already is not sent again; a commit without changes is not made
    made = api.create_commit(repo_id, operations, commit_message=f"Publish {tag}", parent_commit=info.sha)
    return made.oid


def _differing(api: HfApi, repo_id: str, revision: str, digests: dict[str, str]) -> list[str]:
    """Names of the files whose content on the Hub is not the expected one."""
    differing = []
    with TemporaryDirectory() as cache:
        for name, expected in digests.items():
            try:
                path = api.hf_hub_download(repo_id, name, revision=revision, cache_dir=cache)
            except RemoteEntryNotFoundError:
                differing.append(name)
                continue
            if sha256_of(Path(path)) != expected:
                differing.append(name)
    return differing


@contextmanager
def _explained(repo_id: str) -> Iterator[None]:
    try:
        yield
    except PublishError:
        raise
    except Exception as error:  # each transport has error types of its own
        said = " ".join(f"{type(error).__name__}: {error}, {error.__cause__ or ''}".split()).rstrip(", ")
        raise PublishError(
            f"{repo_id} was not published ({said}). Set HF_TOKEN to a token that may write to it, or check the "
            "connection; then run the same command again, which resumes."
        ) from error
