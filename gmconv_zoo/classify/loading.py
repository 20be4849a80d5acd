"""From image sources to loaders: small sets are decoded once into memory, larger ones read as they are needed."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from timm.data import create_transform
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms

from ..data.lazy_images import LazyImages, find_unreadable, reading_loader
from ..data.sources import ImageData
from ..data.tensors import EpochSampler, TensorImages, tensor_loader
from ..engine.accumulation import part_size
from ..engine.loop import EpochCallback
from ..extras import needs_extra
from ..images.data_config import data_config
from ..images.image_source import ImageSource
from ..images.pixels import UnreadableImageError, mode_for
from ..wording import listed
from .evaluate import Answers
from .recipes import Recipe

with needs_extra("train"):
    from accelerate import Accelerator

__all__ = ["Loaders", "described_images", "eval_batch", "make_loaders", "training_transform"]

_logger = logging.getLogger(__name__)

_EVAL_BATCH = 256


@dataclass(frozen=True)
class Loaders:
    """Loaders for training and evaluation.

    Attributes:
        train, val: give normalised (B, C, H, W) float32 images and (B,) int64 labels; of a stream's validation images
            also their indices, see `EvalStream`.
        train_labels: (N,) labels of the training images, for a recipe that weighs classes; (0,) for a stream.
        in_memory: whether the images are kept in memory.
        skipped: names of the images that could not be read, with the reason; empty for a stream.
        answers: makes the counter of one evaluation.
        callbacks, closing_callbacks: functions that run after each epoch, see `engine.fit.Task`.
    """

    train: DataLoader[tuple[Tensor, Tensor]]
    val: DataLoader[tuple[Tensor, Tensor]]
    train_labels: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    in_memory: bool = False
    skipped: list[str] = field(default_factory=list)
    answers: Callable[[], Answers] = Answers
    callbacks: tuple[EpochCallback, ...] = ()
    closing_callbacks: tuple[EpochCallback, ...] = ()


def eval_batch(processes: int) -> int:
    """Return the batch size of an evaluation over all processes, which share it evenly."""
    return max(_EVAL_BATCH // processes, 1) * processes


def make_loaders(
    model: nn.Module,
    data: ImageData,
    recipe: Recipe,
    *,
    seed: int = 0,
    skip_bad: bool = False,
    memory_gb: float = 2.0,
    drop_last: bool = False,
    accelerator: Accelerator | None = None,
) -> Loaders:
    """Return loaders with the preprocessing of a network's configuration.

    Args:
        model, data, recipe: a classifier of timm's interface, its images, and their batch size and augmentation.
        seed: seed of order and augmentation.
        skip_bad: leave out images that cannot be read, instead of raising an error.
        memory_gb: largest memory for decoded images in GB. Larger datasets are read at every use, and so are all
            datasets of a recipe with random resized crops; those that would fit are checked for bad images first, and
            for files that are in both sets.
        drop_last: leave out the images of a last partial update, if there is a full one.
        accelerator: its batches per optimizer update divide the recipe's batch size, its processes share every batch,
            and its device keeps and augments the images, if they fit into its memory; None for one process on the CPU.

    Raises:
        ValueError: when the batch size cannot be divided in this way, images cannot be read, or a class has no
            readable image left.
    """
    parts, processes, device = 1, 1, torch.device("cpu")
    if accelerator is not None:
        parts, processes = accelerator.gradient_accumulation_steps, accelerator.num_processes
        device = accelerator.device
    batch_size = part_size(recipe.batch_size, parts, processes)
    config = data_config(model)
    channels, height, width = config["input_size"]
    if (mode := mode_for(channels)) != "RGB":
        data = replace(data, train=replace(data.train, mode=mode), val=replace(data.val, mode=mode))
    needed = channels * height * width * (len(data.train) + len(data.val))
    small = needed <= memory_gb * 2**30
    in_memory = small and recipe.crop_scale == 1
    train: Any
    val: Any
    if in_memory:
        augmented: dict[str, Any] = {"crop_padding": recipe.crop_padding, "flip": recipe.flip, "seed": seed}
        (train, bad), (val, val_bad) = _in_memory(data.train, config, **augmented), _in_memory(data.val, config)
    else:
        check, plain = small or skip_bad, create_transform(**config, is_training=False)
        train, bad = _read_at_use(data.train, training_transform(config, recipe), seed, check=check)
        val, val_bad = _read_at_use(data.val, plain, seed, check=check)
    bad += val_bad
    _check_readable(train.labels, val.labels, data, bad, skip_bad)
    if small:
        _warn_of_copies(data.train, data.val)
    multiple = recipe.batch_size if drop_last else 1
    kept = len(train) - len(train) % multiple or len(train)
    if kept > batch_size and kept % batch_size == processes == 1 and _normalises_batches(model):
        multiple = kept - 1
        _logger.warning(
            "with batches of %d, the last batch has a single one of the %d images, which batch normalisation cannot "
            "use: every epoch leaves out another image",
            batch_size,
            kept,
        )
    labels = train.labels
    if in_memory:
        _move((train, val), device)
        loader = tensor_loader(train, batch_size, shuffle=True, multiple=multiple)
        return Loaders(loader, tensor_loader(val, eval_batch(processes)), labels, True, bad)
    sampler = EpochSampler(len(train), seed=seed, multiple=multiple)
    loader = reading_loader(train, batch_size, seed, sampler=sampler)
    return Loaders(loader, reading_loader(val, eval_batch(processes), seed), labels, False, bad)


def _normalises_batches(model: nn.Module) -> bool:
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
    return any(isinstance(module, kinds) for module in model.modules())


def described_images(images: ImageData, loaders: Loaders) -> dict[str, Any]:
    """Return a description that identifies the training and validation set of a run.

    It contains the classes, the labels in their order, the file names, and how images are read. For a stream it
    contains the number of validation images and their name in records. Pixels are not compared.
    """
    labels = loaders.train_labels.to(torch.int64).numpy().tobytes()
    described = {"classes": list(images.classes), "labels_digest": _digest(labels), "in_memory": loaders.in_memory}
    if images.val.stream:
        return described | {"validation_set": f"{len(images.val)} images, {images.description}"}
    val_labels: list[int] = loaders.val.dataset.labels.tolist()  # type: ignore[attr-defined]
    content = "\n".join(map(str, [*val_labels, *images.val.names]))
    described["file_names_digest"] = _digest("\n".join(images.train.names).encode(errors="surrogateescape"))
    val_digest = _digest(content.encode(errors="surrogateescape"))
    return described | {"validation_set": f"{len(val_labels)} images, digest {val_digest}"}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def training_transform(config: dict[str, Any], recipe: Recipe) -> Any:
    """Return what turns one Pillow image into a (C, H, W) float32 tensor, augmented as a recipe says.

    That is a random resized crop, or a crop of the padded image, and mirroring.
    """
    flip = 0.5 * recipe.flip
    if recipe.crop_scale < 1:
        scale = (recipe.crop_scale, 1.0)
        return create_transform(**config, is_training=True, scale=scale, hflip=flip, color_jitter=0.0)
    plain = create_transform(**config, is_training=False)
    drawn = [transforms.RandomHorizontalFlip(flip)]
    if recipe.crop_padding:
        drawn = [transforms.RandomCrop(config["input_size"][1:], recipe.crop_padding), *drawn]
    *resized, to_tensor, normalise = plain.transforms
    return transforms.Compose([*resized, *drawn, to_tensor, normalise])


def _in_memory(source: ImageSource, config: dict[str, Any], **augmentation: Any) -> tuple[TensorImages, list[str]]:
    """Return images that are kept in memory, and which of the source cannot be read."""
    to_pixels = create_transform(**config, is_training=False, use_prefetcher=True)  # normalising is left to the batch
    pixels, labels, bad = [], [], []
    for index, label in enumerate(source.labels):
        try:
            pixels.append(torch.as_tensor(to_pixels(source.read(index)[0])))
            labels.append(label)
        except UnreadableImageError as error:
            bad.append(str(error))
    images = torch.stack(pixels) if pixels else torch.empty(0, *config["input_size"], dtype=torch.uint8)
    statistics = {"mean": config["mean"], "std": config["std"]}
    return TensorImages(images, torch.tensor(labels, dtype=torch.int64), **statistics, **augmentation), bad


def _read_at_use(source: ImageSource, transform: Any, seed: int, *, check: bool) -> tuple[LazyImages, list[str]]:
    """Return images that are read at every use, and if they are checked first, which of the source cannot be read."""
    bad = find_unreadable(source) if check else {}
    if bad:
        source = source.part([index for index in range(len(source)) if index not in bad])
    return LazyImages(source, transform, seed), list(bad.values())


def _move(sets: tuple[TensorImages, TensorImages], device: torch.device) -> None:
    try:
        for images in sets:
            images.to(device)
    except torch.OutOfMemoryError:
        for images in sets:
            images.to("cpu")
        _logger.warning("the images do not fit into the memory of %s: they are augmented on the CPU", device)


def _warn_of_copies(train: ImageSource, val: ImageSource) -> None:
    """Warn of validation images whose files have the content of a training image; only files of equal size are read."""
    trained, held_out, names = _by_size(train), _by_size(val), val.names
    copies: list[str] = []
    for size in trained.keys() & held_out.keys() - {0}:
        contents = {_content_hash(train, index) for index in trained[size]}
        found = [index for index in held_out[size] if _content_hash(val, index) in contents]
        copies += [names[index] if names else val.image_name(index) for index in found]
    if copies:
        _logger.warning(
            "%d of the %d validation images are copies of training images (%s): the accuracy is too high. Keep one "
            "copy of each image.",
            len(copies),
            len(val),
            listed(sorted(copies)),
        )


def _by_size(source: ImageSource) -> dict[int, list[int]]:
    """Return the indices of images by the size of their file; empty for images that are not in files of their own."""
    found: dict[int, list[int]] = {}
    for index in range(len(source)):
        file = source.stored(index)
        if isinstance(file, BytesIO):
            found.setdefault(len(file.getbuffer()), []).append(index)
        elif isinstance(file, Path) and file.is_file():
            found.setdefault(file.stat().st_size, []).append(index)
    return found


def _content_hash(source: ImageSource, index: int) -> bytes:
    file = source.stored(index)
    content = file.read_bytes() if isinstance(file, Path) else file.read()  # type: ignore[union-attr]
    return hashlib.sha256(content).digest()


def _check_readable(labels: Tensor, val_labels: Tensor, data: ImageData, bad: list[str], skip_bad: bool) -> None:
    """Refuse or report images that cannot be read, and sets and classes of which none can be."""
    total, named = len(data.train) + len(data.val), listed(bad, separator="; ")
    if bad and not skip_bad:
        raise ValueError(
            f"{len(bad)} of {total} images cannot be read: {named}. Repair or remove them, or skip them with "
            "skip_bad (--skip-bad)."
        )
    for what, left, source in (("training", labels, data.train), ("validation", val_labels, data.val)):
        if not len(left):
            raise ValueError(
                f"none of the {len(source)} {what} images in {source.name} can be read, so that skip_bad (--skip-bad) "
                f"leaves nothing: {named}. Repair them, or choose another split (--train-split, --val-split)."
            )
    if bad:
        _logger.warning("skipped %d of %d images that cannot be read: %s", len(bad), total, named)
    gone, unmeasured = (_absent(data.classes, left) for left in (labels, val_labels))
    if gone:
        skipped = f"{len(bad)} were skipped" if bad else "choose a part of the dataset with all classes (--train-split)"
        raise ValueError(f"the classes {listed(gone)} have no readable training image: {skipped}.")
    if unmeasured:
        _logger.warning("the classes %s have no readable validation image: these are not measured", listed(unmeasured))


def _absent(classes: Sequence[str], labels: Tensor) -> list[str]:
    counts = torch.bincount(labels, minlength=len(classes)).tolist()
    return [name for name, count in zip(classes, counts, strict=True) if not count]
