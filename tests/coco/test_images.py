"""Samples and batches from a COCO annotation file."""

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from PIL import Image

from gmconv_zoo.coco.images import AspectRatioSampler, CocoImages, coco_loader
from gmconv_zoo.coco.shapes import SHAPES, write_shapes
from gmconv_zoo.images.pixels import UnreadableImageError

from .coco_files import content, read, write_coco


def test_a_sample_is_a_float_image_and_targets_without_crowds_and_boxes_are_flipped_with_it(tmp_path):
    coco = read(*write_coco(tmp_path))
    images = CocoImages(coco)
    assert (images.areas.tolist(), images.portrait) == ([200, 24, 12.5], [False, True, False])
    image, target = images[0]
    assert type(image) is type(target["boxes"]) is torch.Tensor
    assert (image.shape, image.dtype) == ((3, 10, 20), torch.float32)
    assert image[:, 0, 0].tolist() == [1, 0, 0]
    assert (target["labels"].tolist(), target["image_id"]) == ([2, 1], 7)
    boxes = target["boxes"]
    assert boxes.tolist() == [[0, 0, 20, 10], [2.5, 1, 6.5, 7]]
    boxes.zero_()
    assert images[0][1]["boxes"].any()
    assert boxes.untyped_storage().nbytes() == 2 * 4 * 4  # a process that reads shares no other boxes
    flipped, other = CocoImages(coco, flip=1.0)[0]
    assert flipped[:, 0, -1].tolist() == [1, 0, 0]
    assert other["boxes"].tolist() == [[0, 0, 20, 10], [13.5, 1, 17.5, 7]]


def test_flips_depend_on_seed_epoch_and_index_alone(tmp_path):
    coco = read(*write_coco(tmp_path))

    def flipped(seed):
        images = CocoImages(coco, flip=0.5, seed=seed)
        torch.manual_seed(seed)
        keys = torch.tensor([epoch * 3 + index for epoch in range(20) for index in range(2)])[torch.randperm(40)]
        state = torch.get_rng_state()
        found = {key: bool(images[key][0][0, 0, 0] == 0) for key in keys.tolist()}
        assert torch.equal(state, torch.get_rng_state())
        return found

    first, again, other = flipped(0), flipped(0), flipped(1)
    assert first == again
    assert first != other
    assert 10 < sum(first.values()) < 30
    assert 0 < sum(first[epoch * 3] for epoch in range(20)) < 20


def test_images_without_boxes_have_empty_targets_or_are_left_out(tmp_path):
    described = content()
    described["annotations"] = described["annotations"][:1] + described["annotations"][3:]  # image 7 has a crowd alone
    coco = read(*write_coco(tmp_path, described))
    targets = [target for _, target in map(CocoImages(coco).__getitem__, range(3))]
    assert [target["boxes"].shape for target in targets] == [(0, 4), (1, 4), (0, 4)]
    assert targets[0]["labels"].dtype == torch.int64
    images = CocoImages(coco, without_boxes=False)
    assert [images[key][1]["image_id"] for key in range(len(images))] == [3]
    described = content()
    described["annotations"][1]["bbox"] = [0, 0, 0, 10]  # nothing to train on
    images = CocoImages(read(*write_coco(tmp_path, described), clip=True))
    assert [images[key][1]["boxes"].tolist() for key in range(2)] == [[[2.5, 1, 6.5, 7]], [[1, 2, 5, 8]]]
    with pytest.raises(ValueError, match="no image with a box"):
        CocoImages(read(*write_coco(tmp_path, {**content(), "annotations": []})), without_boxes=False)


def test_images_of_one_pixel_are_read_and_those_that_cannot_be_used_named(tmp_path):
    file, root = write_coco(tmp_path)
    images = CocoImages(read(file, root))
    assert images[2][0].shape == (3, 1, 1)
    Image.new("RGB", (10, 20)).save(root / "a.png")
    with pytest.raises(ValueError, match=r"a\.png is 10x20 pixels.*boxes\.json says 20x10"):
        images[0]
    (root / "a.png").write_bytes(b"no image")
    with pytest.raises(UnreadableImageError, match=r"a\.png \(not an image\)"):
        images[0]


def order(sampler, epoch):
    sampler.set_epoch(epoch)
    return list(sampler)


PORTRAIT = [index % 3 == 0 for index in range(50)]


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_batches_hold_one_shape_and_every_image_comes_once_in_an_order_of_seed_and_epoch(batch_size):
    sampler = AspectRatioSampler(PORTRAIT, batch_size)
    plain = [key % 50 for key in order(sampler, 0)]
    keys = order(sampler, 2)
    assert len(keys) == len(sampler) == len(set(keys)) == 50
    assert {key // 50 for key in keys} == {2}
    batches = [keys[start : start + batch_size] for start in range(0, len(keys), batch_size)]
    mixed = [len({PORTRAIT[key % 50] for key in batch}) > 1 for batch in batches]
    assert sum(mixed) <= 1
    assert not any(mixed[:-2])  # the rest of both groups
    assert order(AspectRatioSampler(PORTRAIT, batch_size), 2) == keys
    assert plain not in ([key % 50 for key in keys], order(AspectRatioSampler(PORTRAIT, batch_size, seed=2), 0))


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_every_batch(processes, tmp_path):
    coco = read(*write_shapes(tmp_path, images=17, size=32))
    loader, other = (coco_loader(CocoImages(coco, seed=seed), 6, shuffle=True, workers=0) for seed in (0, 1))
    whole = list(loader.batch_sampler)
    assert list(other.batch_sampler) != whole
    parts = [
        list(BatchSamplerShard(loader.batch_sampler, processes, rank, split_batches=True)) for rank in range(processes)
    ]
    assert {len(part) for part in parts} == {len(whole)}
    for number, batch in enumerate(whole):
        assert [key for part in parts for key in part[number]][: len(batch)] == batch


def test_batches_are_lists_and_the_loader_processes_change_nothing(tmp_path):
    images = CocoImages(read(*write_shapes(tmp_path, images=5, size=32)), flip=0.5)
    batches = [list(coco_loader(images, 2, shuffle=True, workers=workers)) for workers in (0, 2)]
    for (first, targets), (second, same) in zip(*batches, strict=True):
        assert isinstance(first, list)
        assert len(first) == len(targets)
        torch.testing.assert_close((first, targets), (second, same), rtol=0, atol=0)


def test_shapes_are_written_with_their_boxes_and_again_equal(tmp_path):
    coco = read(*write_shapes(tmp_path / "first", images=8, seed=3))
    again = read(*write_shapes(tmp_path / "second", images=8, seed=3))
    assert coco.classes == SHAPES
    assert {coco.labels[key] for key in coco.category_ids.tolist()} == {1, 2, 3}
    assert coco.trained.all()
    assert CocoImages(coco).portrait == [False, True] * 4
    for key in range(8):
        image, target = CocoImages(coco)[key]
        other, same = CocoImages(again)[key]
        torch.testing.assert_close((image, target), (other, same), rtol=0, atol=0)
        for x1, y1, x2, y2 in target["boxes"].int().tolist():
            colour = image[:, y1 + (y2 - y1) * 3 // 4, (x1 + x2) // 2]
            shape = (image == colour[:, None, None]).all(0).nonzero()
            assert [*shape.amin(0).flip(0).tolist(), *(shape.amax(0).flip(0) + 1).tolist()] == [x1, y1, x2, y2]
