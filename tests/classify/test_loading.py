"""From images to loaders."""

import logging
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from torch import nn

from gmconv_zoo.classify.loading import make_loaders, training_transform
from gmconv_zoo.classify.recipes import FINETUNE
from gmconv_zoo.data.sources import DataOptions, open_data
from gmconv_zoo.data.tensors import TensorImages
from tests.images.hugging_face import make_set
from tests.images.image_folders import make_folder, make_splits


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Nine images to train on and three for validation."""
    return open_data(make_folder(tmp_path_factory.mktemp("loading") / "images", 12), DataOptions(val_share=0.25))


def network(channels=3, norm=True):
    """As timm creates it with in_chans: its configuration is that of three channels."""
    net = nn.Sequential(nn.Conv2d(channels, 3, 1), *([nn.BatchNorm2d(3)] if norm else []))
    mean = {"mean": (0.5,) * 3, "std": (1.0,) * 3}
    net.pretrained_cfg = {"input_size": (3, 8, 8), **mean, "crop_pct": 1.0, "interpolation": "bilinear"}
    return net


@pytest.mark.parametrize("crop_scale", [1.0, 0.5])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_have_as_many_channels_as_the_network_takes(images, channels, crop_scale):
    loaders = make_loaders(network(channels), images, FINETUNE.override(batch_size=9, crop_scale=crop_scale))
    for loader in (loaders.train, loaders.val):
        pixels = next(iter(loader))[0]
        assert pixels.shape[1] == channels
        assert channels < 4 or torch.allclose(pixels[:, 3], torch.tensor(0.5))


@pytest.mark.parametrize("crop_scale", [1.0, 0.5])
def test_last_batch_of_one_image_is_left_out_where_batches_are_normalised(images, crop_scale, caplog):
    def sizes(net, batch_size, **options):
        loaders = make_loaders(net, images, FINETUNE.override(batch_size=batch_size, crop_scale=crop_scale), **options)
        return [len(labels) for _, labels in loaders.train]

    assert sizes(network(norm=False), 4) == [4, 4, 1]
    assert sizes(network(), 5) == [5, 4]
    with caplog.at_level(logging.WARNING):
        assert sizes(network(), 4) == [4, 4]
    assert "with batches of 4, the last batch has a single one of the 9 images" in caplog.text
    in_parts = SimpleNamespace(gradient_accumulation_steps=4, num_processes=1, device="cpu")
    assert sizes(network(), 16, accelerator=in_parts, drop_last=True) == [4, 4]


@pytest.mark.parametrize("crop_pct", [0.875, 0.5, 1.0])
@pytest.mark.parametrize("crop_scale", [1.0, 0.5])
def test_validation_images_are_cropped_as_timm_crops_them(images, crop_scale, crop_pct):
    net = network()
    net.pretrained_cfg["crop_pct"] = crop_pct
    expected = create_transform(**resolve_model_data_config(net), is_training=False)
    pixels, _ = next(iter(make_loaders(net, images, FINETUNE.override(batch_size=9, crop_scale=crop_scale)).val))
    for index in range(len(pixels)):
        torch.testing.assert_close(pixels[index], expected(images.val.read(index)[0]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("flip", [False, True])
def test_augmentation_and_seed_are_the_recipes_in_memory_and_at_every_use(images, flip):
    recipe = FINETUNE.override(crop_scale=1.0, crop_padding=2, flip=flip)
    kept = make_loaders(network(), images, recipe, seed=5)
    data, plain = kept.train.dataset, kept.val.dataset
    assert (data.crop_padding, data.flip, data.seed) == (2, flip, 5)
    assert (plain.crop_padding, plain.flip) == (0, False)
    assert make_loaders(network(), images, recipe, seed=5, memory_gb=0.0).train.sampler.seed == 5
    for crop_scale in (1.0, 0.5):
        drawn = training_transform(resolve_model_data_config(network()), recipe.override(crop_scale=crop_scale))
        steps = {type(step).__name__: step for step in drawn.transforms}
        mirror = steps.get("RandomHorizontalFlip")
        assert (mirror.p if mirror else 0.0) == 0.5 * flip
    assert steps["RandomResizedCropAndInterpolation"].scale == (0.5, 1.0)
    assert steps["ColorJitter"].brightness is None


@pytest.mark.parametrize(("split", "what"), [("train", "18 training"), ("val", "6 validation")])
def test_split_without_a_readable_image_is_named(tmp_path, split, what):
    data = open_data(make_splits(tmp_path, 18, 6))
    for path in (tmp_path / split).rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=rf"none of the {what} images in .* can be read, .*--{split}-split"):
        make_loaders(network(), data, FINETUNE, skip_bad=True)


@pytest.mark.parametrize("crop_scale", [1.0, 0.5])
def test_class_without_a_readable_validation_image_is_reported(tmp_path, crop_scale, caplog):
    data = open_data(make_splits(tmp_path, 9, 6))
    for path in (tmp_path / "val" / "cat").iterdir():
        path.write_bytes(b"")
    made = make_loaders(network(), data, FINETUNE.override(crop_scale=crop_scale), skip_bad=True)
    assert "the classes cat have no readable validation image: these are not measured" in caplog.text
    assert set(made.val.dataset.labels.tolist()) == {1, 2}


@pytest.mark.parametrize("crop_scale", [1.0, 0.5])
def test_validation_images_that_are_copies_of_training_images_are_reported(tmp_path, crop_scale, caplog):
    make_folder(tmp_path / "train", 9)
    make_folder(tmp_path / "val", 3, side=32)
    recipe = FINETUNE.override(crop_scale=crop_scale)
    make_loaders(network(), open_data(tmp_path), recipe)
    assert "copies" not in caplog.text
    shutil.copy(tmp_path / "train" / "cat" / "3.png", tmp_path / "val" / "dog" / "again.png")
    made = make_loaders(network(), open_data(tmp_path), recipe)
    assert "1 of the 4 validation images are copies of training images (val/dog/again.png): the" in caplog.text
    assert len(made.val.dataset) == 4


def test_splits_that_overlap_are_reported(tmp_path, caplog):
    folder = make_set(tmp_path, {"train": (9, 1)})
    options = DataOptions(data_dir=tmp_path / "cache", val_split="train[6:]")
    make_loaders(network(), open_data(f"hfds/{folder}", options), FINETUNE.override(crop_scale=1.0))
    assert "3 of the 3 validation images are copies of training images (image 0 of hfds/" in caplog.text


def test_images_that_do_not_fit_on_a_device_stay_on_the_host(images, monkeypatch, caplog):
    moves = []

    def full(self, device):
        moves.append((len(self), device))
        if device != "cpu" and len(self) < 9:  # the second set
            raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(TensorImages, "to", full)
    accelerator = SimpleNamespace(gradient_accumulation_steps=1, num_processes=1, device="cuda")
    make_loaders(network(), images, FINETUNE.override(crop_scale=1.0), accelerator=accelerator)
    assert moves == [(9, "cuda"), (3, "cuda"), (9, "cpu"), (3, "cpu")]
    assert "do not fit into the memory of cuda: they are augmented on the CPU" in caplog.text


def test_class_that_a_split_lacks_is_not_said_to_be_skipped(images):
    data = replace(images, classes=(*images.classes, "zebra"))
    with pytest.raises(ValueError, match=r"the classes zebra have no readable .*: choose .* \(--train-split\)"):
        make_loaders(network(), data, FINETUNE)


def test_images_read_at_every_use_are_augmented_by_seed_epoch_and_index(images):
    sets = [make_loaders(network(), images, FINETUNE, seed=s).train.dataset for s in (5, 5, 6)]
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = sets[0][12][0]
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert torch.equal(sets[1][12][0], first)
    assert not torch.equal(sets[1][12 - len(sets[1])][0], first)
    assert not torch.equal(sets[2][12][0], first)


def test_images_read_at_every_use_are_crops_of_the_padded_image(images):
    plain = FINETUNE.override(crop_scale=1.0, flip=False)
    whole, padded = (
        make_loaders(network(), images, plain.override(crop_padding=padding), memory_gb=0.0).train.dataset
        for padding in (0, 4)
    )  # fmt: skip
    black = whole.transform(Image.new("RGB", (8, 8)))[:, :1, :1]
    assert torch.equal(whole[0][0], whole[len(whole)][0])
    moved = 0
    for epoch in range(4):
        image, around = padded[epoch * len(padded)][0], torch.nn.functional.pad(whole[0][0] - black, [4] * 4) + black
        crops = {(y, x): around[:, y : y + 8, x : x + 8] for y in range(9) for x in range(9)}
        places = [place for place, crop in crops.items() if torch.allclose(crop, image, atol=1e-5)]
        assert len(places) == 1
        moved += places != [(4, 4)]
    assert moved
