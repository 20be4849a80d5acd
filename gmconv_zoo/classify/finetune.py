"""Finetune a classifier on a user's folder of images, in one call."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..engine.extras import needs_extra
from ..engine.freeze import freeze_parts
from ..engine.records import write_csv
from ..saving import save
from ..saving.named import check_model_name, is_timm_name
from ..visualize.classes import draw_class_table, draw_confusion
from .checkpoint_plan import CheckpointPlan, check_run_folder
from .evaluate import Score, class_table, confusion_matrix, write_confusion
from .loading import described_images, make_loaders, open_images, sharing
from .loss import balanced_weights
from .messages import closing_lines, starting_line
from .recipes import FINETUNE, Recipe
from .start_network import start_network
from .train import default_accelerator, train

with needs_extra("train"):
    from accelerate import Accelerator
    from accelerate.utils import set_seed

__all__ = ["FinetuneResult", "finetune"]

_logger = logging.getLogger(__name__)

# A small dataset is trained in smaller batches, so that an epoch has about this many updates.
_UPDATES = 8
_SMALLEST_BATCH = 8


@dataclass(frozen=True)
class FinetuneResult:
    """The result of a finetuning.

    Attributes:
        score: score of the best epoch on the validation images.
        epoch: number of the best epoch, counted from 1.
        classes: class names in the order of the outputs.
        skipped: names of the images that could not be read, with the reason.
        folder: folder of the network, ready for the Hub. It loads with ``timm.create_model("local-dir:FOLDER",
            pretrained=True)``; a network that was converted by hand loads with `gmconv_zoo.load`.
    """

    score: Score
    epoch: int
    classes: tuple[str, ...]
    skipped: list[str]
    folder: Path


def finetune(
    data: str | Path,
    model: str = "gmconv_resnet18.from_tv_in1k",
    *,
    output: str | Path = "output/finetune",
    pretrained: bool = True,
    model_options: dict[str, Any] | None = None,
    image_size: int | None = None,
    overrides: dict[str, Any] | None = None,
    freeze: Sequence[str] = (),
    freeze_backbone: bool = False,
    data_dir: str | Path | None = None,
    train_split: str | None = None,
    val_split: str | None = None,
    val_share: float = 0.2,
    image_column: str | None = None,
    label_column: str | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    save_every: int | None = None,
    skip_bad: bool = False,
    memory_gb: float = 2.0,
    accelerator: Accelerator | None = None,
    progress: bool = True,
    say: Callable[[str], None] = _logger.info,
) -> FinetuneResult:
    """Train a network on a folder of images and keep its best epoch.

    Args:
        data: a folder of class folders, with or without "train" and "val", or a dataset that timm names.
        model: a name that timm knows, a folder that `gmconv_zoo.save` wrote, or a Hub repository.
        output: folder for the network, checkpoints, records and pictures.
        pretrained: False to start a model that timm knows from random weights.
        model_options: arguments of `timm.create_model`, e.g. {"sigma_init": "kernel"}, for a model that timm knows.
        image_size: side of the images in pixels; None for the network's own.
        overrides: fields of the finetuning recipe to change.
        freeze: modules and parameters that are not trained, see `freeze_parts`.
        freeze_backbone: train the classifier only (linear probing).
        data_dir: folder in which a named dataset is stored, or to which it is downloaded.
        train_split, val_split: splits of "hfds/NAME", see `open_data`.
        val_share: share of each class that is used for validation, if the dataset has no validation set.
        image_column, label_column: image and label column of "hfds/NAME"; None to find them by their features.
        seed: seed of the validation set, the new classifier's weights, the order and the augmentation.
        resume: go on from the last checkpoint in the output folder, if there is one.
        overwrite: replace an earlier run or network in the output folder; files of other names stay.
        save_every: also write a checkpoint after this many updates within an epoch.
        skip_bad: leave out images that cannot be read; they are listed in results.json.
        memory_gb: largest memory for decoded images in GB; larger datasets are read at every use.
        accelerator: device, precision, processes and batches per update, which share the batch size; None for
            accelerate's defaults in float32.
        progress: whether to show a progress bar.
        say: function that receives one line of text after each step.

    Raises:
        ValueError: for a folder, an image, a model or a setting that cannot be used; the message says what to change.
        NonFiniteError: when training diverges; the last good checkpoint is kept.
        CheckpointError: when a checkpoint cannot be written; the previous one is kept.
    """
    output = Path(output)
    check_run_folder(output, resume=resume, overwrite=overwrite)
    check_model_name(model)
    if not is_timm_name(model) and (model_options or not pretrained):
        raise ValueError(
            f"{model} is built as it was saved: leave out model_options (--model-options) and pretrained=False "
            "(--no-pretrained)."
        )
    accelerator = accelerator or default_accelerator()
    splits = {"train_split": train_split, "val_split": val_split, "val_share": val_share}
    columns = {"image_column": image_column, "label_column": label_column}
    images = open_images(data, accelerator, data_dir=data_dir, seed=seed, output=output, **splits, **columns)
    count = len(images.train.labels)
    recipe = _recipe_for(count, overrides or {})
    made = " (split made here)" if images.split_made else ""
    say(f"{len(images.classes)} classes, {count} training images and {len(images.val.labels)} validation images{made}")
    set_seed(seed)
    options = {**(model_options or {}), **({} if pretrained else {"pretrained": False})}
    net = start_network(model, len(images.classes), image_size=image_size, **options)
    freeze_parts(net, freeze, backbone=freeze_backbone)
    say(starting_line(model, net, recipe, accelerator))
    reading: dict[str, Any] = {"seed": seed, "skip_bad": skip_bad, "memory_gb": memory_gb, "drop_last": True}
    loaders = make_loaders(net, images, recipe, **reading, **sharing(accelerator))
    result = train(
        net,
        loaders.train,
        loaders.val,
        recipe,
        output=output,
        dataset=images.description,
        seed=seed,
        accelerator=accelerator,
        class_weights=balanced_weights(loaders.train_labels, len(images.classes)),
        checkpoints=CheckpointPlan(resume=resume, overwrite=overwrite, every=save_every, end_with_best=True),
        identity={
            "start": str(model),
            "frozen backbone": freeze_backbone,
            **({"frozen": list(freeze)} if freeze else {}),
            **({} if pretrained else {"pretrained": False}),
            **({"model options": model_options} if model_options else {}),
            **({} if image_size is None else {"image size": image_size}),
            **described_images(images, loaders),
        },
        extra={
            "start": model,
            "pretrained": pretrained,
            "model_options": model_options or {},
            "frozen": list(freeze),
            "frozen_backbone": freeze_backbone,
            "classes": list(images.classes),
            "split_made": images.split_made,
            "in_memory": loaders.in_memory,
            "skipped_images": loaders.skipped,
        },
        progress=progress,
    )
    say(f"best epoch {result.epoch} of {len(result.rows)}: {result.score.top1_percent:.2f} % of the validation images")
    if accelerator.is_main_process:
        with accelerator.autocast():  # as the score was counted
            matrix = confusion_matrix(net, loaders.val, len(images.classes))
        _write(net, matrix, loaders.train_labels, images.classes, output)
        say(closing_lines(output))
    return FinetuneResult(result.score, result.epoch, images.classes, loaders.skipped, output)


def _recipe_for(images: int, overrides: dict[str, Any]) -> Recipe:
    """Return the finetuning recipe. Without a batch size, a small dataset gets smaller batches and steps."""
    recipe = FINETUNE
    if "batch_size" not in overrides:
        batch = recipe.batch_size
        while batch > _SMALLEST_BATCH and images < _UPDATES * batch:
            batch //= 2
        recipe = recipe.override(batch_size=batch, lr=recipe.lr * batch / recipe.batch_size)
    return recipe.adapt(**overrides)


def _write(net: nn.Module, matrix: Tensor, labels: Tensor, classes: tuple[str, ...], output: Path) -> None:
    rows = class_table(matrix, classes, labels)
    for parameter in net.parameters():
        parameter.requires_grad_(True)
    save(net.cpu().eval(), output, label_names=list(classes))
    write_confusion(matrix, classes, output / "confusion.csv")
    write_csv(output / "classes.csv", [list(rows[0]), *(row.values() for row in rows)])
    draw_confusion(matrix.tolist(), classes, output / "confusion.png")
    draw_class_table(rows, output / "classes.png")
