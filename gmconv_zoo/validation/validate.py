"""Evaluate one model, and find the models that a name means."""

import dataclasses
import logging
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import create_transform
from torch import nn
from torch.utils.data import DataLoader

from ..classify.evaluate import Answers, BadImagesError, not_above_chance
from ..classify.networks import find_checkpoints, open_together
from ..conversion import fuse
from ..data.class_order import class_outputs
from ..data.eval_images import EvalImages, EvalStream
from ..device import PRECISIONS
from ..engine.evaluate import LoaderError, evaluate
from ..extras import needs_extra
from ..files.records import read_results
from ..images.data_config import data_config
from ..images.image_source import ImageSource
from ..images.pixels import mode_for, naming_unreadable
from ..saving import CONFIG_NAME
from .settings import ValidationRow, ValidationSettings

with needs_extra("train"):
    from accelerate import Accelerator
    from accelerate.utils.memory import clear_device_cache

__all__ = ["eval_images", "find_models", "is_pattern", "split_caution", "validate_one"]

_logger = logging.getLogger(__name__)

_CAUTION = (
    "The validation set of this training was split off from its training images. If these are the same images, most of "
    "them were trained on and this accuracy is too high: trust the recorded accuracy."
)


def find_models(name: str) -> list[str]:
    """Return what a name means: names for `open_model`, and paths of checkpoints; ValueError if nothing matches.

    The name may be a pattern of timm names such as "gmconv_*" or "gmconv_resnet18.*"; a folder that holds saved
    networks in its own folders; the folder of a run that has not ended, or of checkpoints; a checkpoint; or anything
    `open_model` takes.
    """
    folder = Path(name)
    if folder.is_dir():
        inside = sorted(path for path in folder.iterdir() if path.is_dir())
        if found := _in_folder(folder) or [name for path in inside for name in _in_folder(path)]:
            return found
        raise ValueError(
            f"{name}: no {CONFIG_NAME} in it or in a folder of it, and no checkpoint; pass what gmconv_zoo.save or "
            "a training wrote."
        )
    if folder.is_file() or not is_pattern(name):
        return [name]
    found = timm.list_pretrained(name)
    if not found:
        raise ValueError(
            f"{name!r} matches no pretrained model of timm: gmconv models lists those of gmconv_zoo (--model)."
        )
    return found


def is_pattern(name: str) -> bool:
    """Whether a name stands for several of timm's names, as "gmconv_*" does."""
    return bool(set(name) & set("*?["))


def _in_folder(folder: Path) -> list[str]:
    """The network that a folder holds, or the checkpoints of a run that has not saved one yet."""
    if (folder / CONFIG_NAME).is_file():
        return [str(folder)]
    return [str(path) for path in find_checkpoints(folder)]


def validate_one(
    name: str, source: ImageSource, settings: ValidationSettings, accelerator: Accelerator
) -> ValidationRow:
    """Evaluate a model, named as `open_model` takes it; where it fails, the row says why, in every process.

    Raises:
        BadImagesError: when an image cannot be read.
        LoaderError: when one of several processes gets no images, for another reason.
    """
    details: dict[str, Any] = {}
    try:
        model = open_together(name, settings.weights)
        model = fuse(model) if settings.fuse else model
        config = _data_config(model, settings)
        details["input_size"] = "x".join(map(str, config["input_size"]))
        details |= {key: config[key] for key in ("crop_pct", "crop_mode", "interpolation")}
        images = eval_images(source, model, config)
        model = model.eval().to(accelerator.device)
        if settings.channels_last:
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if settings.compile:
            model = torch.compile(model)  # type: ignore[assignment]
        started = time.perf_counter()
        outputs = int(getattr(model, "num_classes", 0))
        answers, batch_size = _answers(name, model, images, settings, accelerator)
        score, bad, caution = answers.score, answers.bad, split_caution(name)
        seconds = time.perf_counter() - started
        left_out = len(source) - score.count if source.stream else len(bad)
        if left_out < 0:
            raise ValueError(f"{source.name}: {score.count} images came, but {len(source)} were announced.")
        if left_out and not settings.skip_bad:
            raise ValueError(f"{source.name}: {score.count} images of {len(source)} came; is a shard cut short?")
    except (BadImagesError, LoaderError):
        raise
    except Exception as error:  # whatever it is, the other models are still to be evaluated
        _logger.warning("%s failed: %s", name, error, exc_info=_logger.isEnabledFor(logging.DEBUG))
        return ValidationRow(name, error=f"{type(error).__name__}: {' '.join(str(error).split())}", details=details)
    details |= {
        "precision": settings.precision,
        "fused": settings.fuse,
        "batch_size": batch_size,
        "processes": accelerator.num_processes,
        "seconds": round(seconds, 3),
        "images_per_second": round(score.count / seconds, 1),
    }
    if accelerator.is_main_process and (poor := not_above_chance(score, outputs)):
        _logger.warning(
            "%s: %s. Check that the labels belong to these images and that the classes are in the order of the "
            "network's outputs (--labels, --classes).",
            name,
            poor,
        )
    if accelerator.is_main_process and caution:
        _logger.warning("%s: %s", name, caution)
    if bad:
        details["bad_images"] = images.why_unreadable(bad)
    return ValidationRow(name, score, bad=left_out, details=details)


def split_caution(folder: str | Path) -> str:
    """Return a warning for the folder of a training that split off its validation set itself; empty for any other."""
    return _CAUTION if read_results(folder).get("split_made") else ""


def _data_config(model: nn.Module, settings: ValidationSettings) -> dict[str, Any]:
    args = settings.overrides
    if side := args.pop("image_size", None):
        args["input_size"] = (data_config(model)["input_size"][0], side, side)
    return data_config(model, args=args, use_test_size=not settings.train_input_size)


def eval_images(source: ImageSource, model: nn.Module, config: dict[str, Any]) -> EvalImages | EvalStream:
    """Return the images of a source, prepared as timm's configuration says; labels are outputs of the model."""
    transform = create_transform(**config, is_training=False)
    shape, outputs = tuple(config["input_size"]), class_outputs(source, model)
    kind = EvalStream if source.stream else EvalImages
    source = dataclasses.replace(source, mode=mode_for(shape[0]))
    return kind(source, transform, shape=shape, outputs=outputs)


def _answers(
    name: str,
    model: nn.Module,
    images: EvalImages | EvalStream,
    settings: ValidationSettings,
    accelerator: Accelerator,
) -> tuple[Answers, int]:
    """What the model answers, and the batch size that fitted."""
    batch_size, dtype = settings.batch_size, PRECISIONS[settings.precision]
    autocast = nullcontext() if dtype is None else torch.autocast(accelerator.device.type, dtype)
    options: dict[str, Any] = {"accelerator": accelerator, "channels_last": settings.channels_last, "progress": name}
    while True:
        answers = Answers(images, skip_bad=settings.skip_bad)
        loader = accelerator.prepare(DataLoader(images, batch_size, num_workers=settings.workers))
        try:
            with autocast, naming_unreadable():
                evaluate(model, loader, answers, **options)
            return answers, batch_size
        except MemoryError:
            if not settings.retry or batch_size == 1:
                raise
        clear_device_cache(garbage_collection=True)
        batch_size //= 2
        _logger.warning("not enough memory: trying again with batch size %d", batch_size)
