"""One, two and three processes count the same images: none twice, none not at all."""

import json

import pytest
import timm
from PIL import Image

import gmconv_zoo
from tests import launch
from tests.cifar import load_cifar10, needs_cifar10, public_resnet20

from .linear import image_bytes

WNIDS = timm.data.ImageNetInfo().label_names()
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """13 images of three classes with 8 right, 3 second and 2 last; and the same with one that cannot be read."""
    root = tmp_path_factory.mktemp("sets")
    for name in ("good", "broken"):
        for index, kind in enumerate(["right", "second", "right", "last", "right"] * 2 + ["right", "second", "right"]):
            label = (17, 500, 999)[index % 3]
            path = root / name / WNIDS[label] / f"{index:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image_bytes(label, kind))
    path.write_bytes(b"no image")
    return root / "good", root / "broken", path


@pytest.fixture(scope="module")
def alone(folders):
    return counted(folders, 1)


def counted(folders, processes: int) -> dict:
    done = launch.run(processes, "-m", "tests.validation.counted_run", *folders[:2])
    return json.loads(done.stdout.splitlines()[-1])


def test_one_process_counts_right(alone, folders):
    assert alone["13 by 4"] == [13, 8, 11]
    assert alone["stream 13"] == [13, 7, 13]
    assert alone["retried"] == [8, 2]
    assert alone["broken stream"]
    assert alone["skipping stream"] == [8, 2]
    assert alone["rows"] == [["ValueError", None], ["", 8]]
    assert f"{folders[2]} (not an image)" in alone["broken"]
    sizes = [1, 2, 3, 5, 8, 12, 13]
    assert [alone[f"{size} by {batch}"][0] for size in sizes for batch in (1, 2, 4, 16)] == sorted(sizes * 4)


@pytest.mark.parametrize("processes", [2, 3])
def test_more_processes_count_the_same(alone, folders, processes):
    found = counted(folders, processes)
    assert found.pop("processes") == processes
    assert found == {key: value for key, value in alone.items() if key != "processes"}


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    """The public CIFAR-10 ResNet-20 as a saved folder, and the test set as a folder per class."""
    root = tmp_path_factory.mktemp("public")
    images, labels = load_cifar10("test")
    for index, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        path = root / "images" / str(label) / f"{index:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(path, compress_level=1)
    gmconv_zoo.save(public_resnet20(), root / "plain")
    return root


@needs_cifar10
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_public_checkpoint_scores_9173_through_the_script(public, tmp_path, processes):
    args = ("--model", public / "plain", "--batch-size", "96", "--workers", "0", "--output", tmp_path)
    done = launch.run(processes, "scripts/validate.py", public / "images", *args)
    assert "top-1 91.730 % (9173/10000)  top-5 99.660 % (9966/10000)" in done.stdout
    assert done.stdout.count("top-1") == 1
    record = json.loads((tmp_path / "results.json").read_text())
    assert (record["processes"], record["results"][0]["top1"]) == (processes, 9173)


def test_failure_is_said_once_and_ends_all_processes(folders):
    options = ("--workers", "0", "--model")
    done = launch.run(2, "scripts/validate.py", folders[0], *options, "gmconv_resnet1", fails=True)
    assert done.stdout.count("failed: ValueError: 'gmconv_resnet1' is not a folder") == 1
    done = launch.run(2, "scripts/validate.py", folders[1], *options, "fixture/none", "--batch-size", "0", fails=True)
    assert "batch_size=0: pass at least 1" in done.stderr


@pytest.mark.parametrize(("kind", "failing"), [("folder", 0), ("folder", 1), ("stream", 0)])
def test_reader_that_fails_in_one_process_ends_all(folders, kind, failing):
    """No row is kept and no model follows: the processes would wait for different things."""
    done = launch.run(2, "-m", "tests.validation.failing_loader_run", folders[0], kind, failing, fails=True)
    assert f"process {failing} of 2 got no batch, so all of them end" in done.stderr
    assert "The reason: KeyError: 'the disk is gone'" in done.stderr
    assert "top-1" not in done.stdout
