"""Training on streams."""

import json
import zipfile
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.transforms.functional import to_tensor

from gmconv_zoo.classify.recipes import FINETUNE
from gmconv_zoo.classify.stream_loading import make_stream_loaders
from gmconv_zoo.classify.train import finetune, train_by_recipe
from gmconv_zoo.data.eval_data import open_eval_data
from gmconv_zoo.data.named import name_prefix
from gmconv_zoo.data.sources import DataOptions, open_data
from gmconv_zoo.images.pixels import UnreadableImageError
from gmconv_zoo.streams.read import TrainStream, stream_images
from tests import launch
from tests.images.hugging_face import make_set
from tests.streams.shards import make_shards, numbers, png, write_tar

from ..classify.stopped_run import assert_resume_is_exact
from ..classify.tiny_model import TINY

TRAIN = "train-{0..3}.tar"
SPLITS = {"train_split": f"{TRAIN}|32", "val_split": "val-{0..1}.tar|7", "classes": 3}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Four shards of eight images to train on and two of four held out."""
    folder = make_shards(tmp_path_factory.mktemp("shards"), "train", (8, 8, 8, 8))
    return make_shards(folder, "val", (4, 3))


def stream(shards, *, count=32, processes=1, rank=0, transform=to_tensor, seed=5, split=TRAIN):
    data = open_data("wds/made", DataOptions(data_dir=shards, **{**SPLITS, "train_split": f"{split}|{count}"}))
    sizes = {"batches": len(data.train) // (4 * processes), "batch_size": 4, "classes": len(data.classes)}
    return TrainStream(data.train.reader, transform, rank=rank, processes=processes, seed=seed, **sizes)


def epoch_of(images, epoch, workers=0):
    images.set_epoch(epoch)
    batches = list(DataLoader(images, 4, num_workers=workers))
    return [numbers(pixels) for pixels, _ in batches], torch.cat([labels for _, labels in batches]).tolist()


def flat(batches):
    return [number for batch in batches for number in batch]


@pytest.mark.parametrize("workers", [0, 2])
def test_every_image_comes_once_in_an_order_that_depends_on_the_epoch_alone(shards, workers):
    images = stream(shards)
    orders = [epoch_of(images, epoch, workers) for epoch in range(3)]
    for batches, labels in orders:
        assert sorted(flat(batches)) == list(range(32))
        assert labels == [number % 3 for number in flat(batches)]
    assert len({str(batches) for batches, _ in orders}) == 3
    torch.manual_seed(7)
    assert epoch_of(stream(shards), 2, workers) == orders[2]


def test_shards_order_and_augmentation_differ_between_epochs_seeds_and_processes(shards):
    parts = [stream(shards, processes=2, rank=rank, transform=lambda _: torch.rand(())) for rank in (0, 1)]
    assert len({float(drawn) for part in parts for drawn, _ in part}) == 32
    read = [flat(epoch_of(stream(shards, processes=4), epoch)[0]) for epoch in range(6)]
    assert len({order[0] // 8 for order in read}) > 1
    assert any(order != sorted(order) for order in read)
    assert read[0] != flat(epoch_of(stream(shards, processes=4, seed=6), 0)[0])


@pytest.mark.parametrize("workers", [0, 2])
def test_processes_share_the_shards_and_read_none_twice(shards, workers):
    parts = [epoch_of(stream(shards, processes=2, rank=rank), 3, workers)[0] for rank in (0, 1)]
    assert [len(batches) for batches in parts] == [4, 4]
    assert sorted(flat(parts[0]) + flat(parts[1])) == list(range(32))


def test_unequal_shards_give_every_process_the_same_number_of_batches(tmp_path):
    folder = make_shards(make_shards(tmp_path, "train", (12, 3)), "val", (4, 3))
    parts = []
    for rank in (0, 1):
        images = stream(folder, count=15, processes=2, rank=rank, split="train-{0..1}.tar")
        parts.append(epoch_of(images, 1)[0])
        assert len(DataLoader(images, 4)) == len(parts[-1]) == 1
    assert not set(flat(parts[0])) & set(flat(parts[1]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_split": TRAIN}, r"the number of images is unknown.*--train-count"),
        ({"train_split": "train-{0..5}.tar|40"}, r"the shards .*train-4\.tar, .*train-5\.tar do not exist"),
        ({"val_split": "val-{0..3}.tar|7"}, r"the shards .*val-2\.tar, .*val-3\.tar do not exist"),
        ({"train_split": "train"}, "--train-split.*split train not found"),
        ({"classes": None}, r"the number of classes is unknown.*--classes"),
        ({"classes": "1"}, "1 classes; a classifier needs at least two"),
        ({"classes": "names.txt"}, r"classes='names.txt': pass the number of classes, or a file"),
        ({"label_column": "kind"}, r"has no columns: leave out image_column and label_column"),
    ],
)
def test_what_a_stream_lacks_is_named(shards, options, message):
    with pytest.raises(ValueError, match=message):
        open_data("wds/made", DataOptions(data_dir=shards, **{**SPLITS, **options}))


def test_more_processes_than_shards_are_refused(shards):
    accelerator = SimpleNamespace(num_processes=5)
    data = open_data("wds/made", DataOptions(data_dir=shards, **SPLITS))
    with pytest.raises(ValueError, match="4 shards cannot be shared by 5 processes"):
        make_stream_loaders(None, data, FINETUNE, accelerator=accelerator)


def test_count_may_be_given_apart_and_classes_by_a_file(shards, tmp_path):
    (tmp_path / "names.txt").write_text("cat\ndog\n\nowl\n")
    given = {"train_split": TRAIN, "train_count": 32, "classes": str(tmp_path / "names.txt")}
    data = open_data("wds/made", DataOptions(data_dir=shards, **{**SPLITS, **given}))
    files = len(data.train.reader.files), len(data.val.reader.files)
    assert (len(data.train), files, data.classes) == (32, (4, 2), ("cat", "dog", "owl"))


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr("gmconv_zoo.data.named.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'needs webdataset: run pip install "gmconv_zoo\[streams\]"'):
        open_data("wds/made")


def test_split_that_is_trained_on_is_not_held_out(tmp_path):
    name = f"hfids/{make_set(tmp_path / 'made', {'train': (8, 1), 'validation': (4, 1)})}"
    with pytest.raises(ValueError, match=r"has no split for validation besides 'validation': pass one \(--val-split\)"):
        open_data(name, DataOptions(train_split="validation", data_dir=tmp_path / "cache"))


def test_shard_without_labels_is_told_from_one_without_images(tmp_path):
    write_tar(tmp_path / "train-0.tar", [("one.png", png(3)), ("one.txt", b"cat")])
    make_shards(tmp_path, "val", (4, 3))
    with pytest.raises(UnreadableImageError, match=r"train-0\.tar, image one \(its \.cls file is missing\)"):
        list(stream(tmp_path, count=4, split="train-{0..0}.tar"))


def test_label_beyond_the_classes_is_named(shards):
    images = stream(shards)
    images.classes = 2
    with pytest.raises(ValueError, match=r"the stream has the label 2, but there are 2 classes"):
        list(images)


def test_shards_without_a_readable_image_end_the_run(tmp_path):
    folder = make_shards(make_shards(tmp_path, "train", (0, 0)), "val", (4, 3))
    with pytest.raises(ValueError, match="the shards of process 0 hold no readable image"):
        list(stream(folder, count=8, split="train-{0..1}.tar"))


def test_folder_of_the_same_name_is_no_stream(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [name_prefix(name) for name in ("wds/made", "HFIDS/made", "wds", "photos/made")] == ["wds", "hfids", "", ""]
    (tmp_path / "wds" / "made").mkdir(parents=True)
    assert not name_prefix("wds/made")


@pytest.mark.parametrize("stop", [(1, 0), (1, 2)])
def test_interrupted_run_ends_with_the_bits_of_a_whole_one(shards, tmp_path, monkeypatch, stop):
    """Stopped between two epochs, and within one."""
    changes = {"overrides": {"epochs": 3, "batch_size": 8}, "data_dir": shards, **SPLITS}
    whole = assert_resume_is_exact(tmp_path, monkeypatch, stop, "wds/made", **changes)
    assert whole.rows[-1]["step"] == 12
    assert whole.score.count == 7


def run(shards, output, *, held_out=7, **options):
    changes = {"epochs": 2, "batch_size": 8, "crop_scale": 0.5, "flip": True, **options.pop("overrides", {})}
    options |= {**SPLITS, "val_split": f"val-{{0..1}}.tar|{held_out}", "data_dir": shards, "output": output}
    return train_by_recipe(TINY, "wds/made", recipe="finetune", overrides=changes, progress=False, **options)


@pytest.mark.parametrize(("split", "damaged"), [("train", 9), ("val", 0), ("val", 5)])
def test_unreadable_image_stops_the_run_and_is_named_or_left_out_and_counted(tmp_path, monkeypatch, split, damaged):
    from gmconv_zoo.classify import train as train_module

    monkeypatch.setattr(train_module, "save", lambda *_, **__: None)
    monkeypatch.setattr(train_module, "closing_lines", lambda *_: "")
    make_shards(tmp_path, "train", (8, 8, 8, 8), damaged=(damaged,) if split == "train" else ())
    make_shards(tmp_path, "val", (4, 3), damaged=(damaged,) if split == "val" else ())
    shard = damaged // (8 if split == "train" else 4)
    named = rf"{split}-{shard}\.tar, image {damaged:04} \(.+\)"
    said = f"cannot be read: .*{named}" if split == "val" else f"{named} cannot be read"
    with pytest.raises(ValueError, match=f"{said}.* Repair .*--skip-bad") as error:
        run(tmp_path, tmp_path / "stopped")
    assert "\n" not in str(error.value)
    result = run(tmp_path, tmp_path / "skipping", skip_bad=True)
    left_out = [row["skipped_images"] for row in result.rows]
    assert left_out == [1, 1] or (split == "train" and set(left_out) <= {1, 2})  # met again where shards begin anew
    assert result.score.count == (6 if split == "val" else 7)
    assert [row["step"] for row in result.rows] == [4, 8]
    results = json.loads((tmp_path / "skipping" / "results.json").read_text())
    assert results["skipped_from_streams"] == sum(left_out)


def test_fewer_or_more_validation_images_than_expected_end_the_run(shards, tmp_path):
    for announced in (6, 8):
        out = tmp_path / str(announced)
        with pytest.raises(ValueError, match=f"Read 7 validation images, expected {announced}.*--val-count"):
            run(shards, out, held_out=announced)
        assert (out / "checkpoints" / "last.safetensors").exists()
        assert (out / "summary.csv").read_text().splitlines()[1].startswith("1,4,")


def test_weighing_classes_and_finetuning_are_refused(shards, tmp_path):
    with pytest.raises(ValueError, match="class_weights: how often a class occurs"):
        run(shards, tmp_path, overrides={"class_weights": True})
    with pytest.raises(ValueError, match=r"is a stream: pass it to train_by_recipe"):
        finetune("wds/made", TINY, output=tmp_path, data_dir=shards, **SPLITS)


@pytest.fixture
def hugging_face(tmp_path):
    return make_set(tmp_path / "made", {"train": (32, 4), "validation": (7, 1)})


@pytest.mark.parametrize("processes", [1, 2])
def test_hugging_face_streams_tell_their_classes_and_are_shared(hugging_face, tmp_path, processes):
    parts = []
    for rank in range(processes):
        name = f"hfids/{hugging_face}"
        data = open_data(name, DataOptions(data_dir=tmp_path / "cache"))
        assert (len(data.train), len(data.train.reader.files), data.classes) == (32, 4, ("cat", "dog", "owl"))
        sizes = {"batches": 8 // processes, "batch_size": 4, "classes": 3}
        images = TrainStream(data.train.reader, to_tensor, rank=rank, processes=processes, seed=5, **sizes)
        first, again = epoch_of(images, 1), epoch_of(images, 2)
        assert first != again
        assert epoch_of(images, 1) == first
        parts += flat(first[0])
        assert first[1] == [number % 3 for number in flat(first[0])]
    assert sorted(parts) == list(range(32))
    assert sum(1 for _ in stream_images(data.val.reader)) == 7


def test_images_in_files_and_archives_are_read_from_there(tmp_path):
    """A set may name places instead of holding bytes."""
    (tmp_path / "0.png").write_bytes(png(0))
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("1.png", png(1))
    places = [str(tmp_path / "0.png"), f"zip://1.png::{tmp_path / 'more.zip'}", str(tmp_path / "2.png"), None]
    make_set(tmp_path / "made", {"train": (4, 1)}, places=places)
    reader = open_eval_data(f"hfids/{tmp_path / 'made'}", root=tmp_path / "cache", split="train").reader
    *found, missing, none = stream_images(reader)
    assert numbers(torch.stack([to_tensor(image) for image, _ in found])) == [0, 1]
    assert "2.png (FileNotFoundError" in str(missing)
    assert "the image is missing" in str(none)


@pytest.mark.slow
def test_two_processes_train_on_shards_of_their_own_and_count_what_is_held_out_once(shards, tmp_path):
    command = ["scripts/train.py", "sgmconv_cifar_resnet20", "wds/made", "--data-dir", shards, "--classes", "3"]
    command += ["--train-split", f"{TRAIN}|32", "--val-split", "val-{0..1}.tar|7", "--epochs", "2", "--batch-size", "8"]
    done = launch.run(2, *command, "--output", tmp_path)
    assert "32 training images in 4 shards" in done.stdout
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["processes"] == 2
    assert results["score"]["count"] == 7
    rows = (tmp_path / "summary.csv").read_text().splitlines()
    assert rows[-1].startswith("2,8,")
