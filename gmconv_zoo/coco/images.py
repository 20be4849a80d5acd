"""Images and boxes of a COCO annotation file, for training and for evaluation."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from ..data.lazy_images import reading_loader
from ..data.tensors import EpochSampler
from ..engine.rng import drawing_from, sample_seed
from ..images.pixels import UnreadableImageError, read_image
from .file import CocoFile

__all__ = ["AspectRatioSampler", "CocoImages", "coco_loader"]

_logger = logging.getLogger(__name__)

Sample = tuple[Tensor, dict[str, Any]]


class CocoImages(Dataset[Sample]):
    """Images and training targets, flipped by seed, epoch and index alone (see `TensorImages` for the keys).

    A sample is a (3, H, W) float32 image in [0, 1] and a target: "boxes" (N, 4) float32 x1, y1, x2, y2 in pixels,
    "labels" (N,) int64 from 1, and "image_id". As in COCO's reference, boxes around crowds are left out of the targets.

    Args:
        coco: annotation file, read with the folder of its images.
        flip: probability of flipping an image left to right.
        seed: seed of the flips.
        without_boxes: whether to keep images without a box to train on; COCO's reference trains without them.

    Raises:
        ValueError: when there is no image left.
    """

    def __init__(self, coco: CocoFile, *, flip: float = 0.0, seed: int = 0, without_boxes: bool = True) -> None:
        assert coco.root is not None
        self.coco, self.seed, self.root = coco, seed, coco.root
        counts = Counter(coco.image_ids[coco.trained].tolist())
        self.starts = list(accumulate((counts[image.id] for image in coco.images), initial=0))
        self.boxes, self.areas = coco.boxes[coco.trained], coco.areas[coco.trained].float()
        labels = coco.labels
        self.labels = torch.tensor([labels[key] for key in coco.category_ids[coco.trained].tolist()], dtype=torch.int64)
        self.indices = [place for place, image in enumerate(coco.images) if without_boxes or counts[image.id]]
        if not self.indices:
            raise ValueError(
                f"{coco.path} has no image with a box: add boxes. Training also takes images without boxes "
                "(without_boxes, --without-boxes)."
            )
        if left_out := len(coco.images) - len(self.indices):
            _logger.info("left out %d of %d images, which have no box to train on", left_out, len(coco.images))
        self.transform = v2.Compose(
            [v2.ToImage(), v2.RandomHorizontalFlip(flip), v2.ToDtype(torch.float32, scale=True), v2.ToPureTensor()]
        )

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: int) -> Sample:
        """Return the sample of a key ``epoch * len(self) + index``.

        Raises:
            UnreadableImageError: when the image cannot be read; the message names it.
            ValueError: when the image does not have the size that the file says.
        """
        epoch, index = divmod(key, len(self))
        described = self.coco.images[self.indices[index]]
        file = self.root / described.name
        try:
            image = read_image(file, "RGB")
        except UnreadableImageError as error:
            raise UnreadableImageError(f"{file} ({error})") from error
        if image.size != (described.width, described.height):
            raise ValueError(
                f"{file} is {image.width}x{image.height} pixels, once turned upright by its EXIF orientation, but "
                f"{self.coco.path} says {described.width}x{described.height}: annotate the image as it is."
            )
        with drawing_from(sample_seed(self.seed, epoch, index)):
            return self.transform(image, self._target(self.indices[index], (image.height, image.width)))

    @property
    def portrait(self) -> list[bool]:
        """Return for each image whether it is higher than wide."""
        described = (self.coco.images[index] for index in self.indices)
        return [image.height > image.width for image in described]

    def _target(self, place: int, size: tuple[int, int]) -> dict[str, Any]:
        mine = slice(self.starts[place], self.starts[place + 1])
        # copies: a process that reads would share all boxes with the one that trains, not these alone
        boxes, labels = self.boxes[mine].clone(), self.labels[mine].clone()
        return {
            "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=size),  # type: ignore[call-overload]
            "labels": labels,
            "image_id": self.coco.images[place].id,
        }


class AspectRatioSampler(EpochSampler):
    """Yield every image once, so that the images of a batch are all higher than wide (``portrait``), or none is.

    Such a batch is padded less. The order depends on the seed and the epoch alone. The images that fill no batch of
    their group come last, both groups one after the other. A batch has its size over all processes.
    """

    def __init__(self, portrait: Sequence[bool], batch_size: int, *, seed: int = 0) -> None:
        super().__init__(len(portrait), seed=seed)
        self.portrait, self.batch_size = portrait, batch_size

    def __iter__(self) -> Iterator[int]:
        waiting: tuple[list[int], list[int]] = ([], [])
        for key in super().__iter__():
            group = waiting[self.portrait[key % self.size]]
            group.append(key)
            if len(group) == self.batch_size:
                yield from group
                group.clear()
        yield from waiting[0] + waiting[1]


def coco_loader(
    images: CocoImages, batch_size: int, *, shuffle: bool = False, workers: int | None = None
) -> DataLoader[Sample]:
    """Return a loader, for accelerate's ``split_batches=True``, whose batches are a list of images and one of targets.

    Args:
        images: the dataset; its seed is also the seed of the order.
        batch_size: images per batch over all processes.
        shuffle: draw a new order for every epoch, see `AspectRatioSampler`, instead of keeping the file's.
        workers: processes that read images; None for a number that suits the machine.
    """
    sampler = AspectRatioSampler(images.portrait, batch_size, seed=images.seed) if shuffle else None
    return reading_loader(images, batch_size, images.seed, workers=workers, sampler=sampler, collate_fn=_to_lists)


def _to_lists(samples: list[Sample]) -> tuple[list[Tensor], list[dict[str, Any]]]:
    return [image for image, _ in samples], [target for _, target in samples]
