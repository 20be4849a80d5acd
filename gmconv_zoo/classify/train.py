"""Train a classifier by the paper's recipe, or finetune one on a user's folder of images: one call each."""

import logging
import shlex
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

from timm.models import split_model_name_tag

from ..data.named import STREAMS, name_prefix
from ..data.sources import DataOptions, ImageData, open_data
from ..engine.fit import FitOptions, check_run_folder, default_accelerator, described_run
from ..engine.freeze import freeze_parts
from ..extras import needs_extra
from ..images.data_config import data_config
from ..saving import save
from ..saving.folder import closing_lines
from ..saving.named import check_model_name, is_timm_name, lasting_name
from .class_files import draw_class_files, write_class_files
from .evaluate import Answers
from .loading import described_images, make_loaders
from .networks import start_network, starts_random
from .recipes import Recipe, dataset_statistics, finetuning_recipe, paper_start, recipe_for
from .stream_loading import make_stream_loaders
from .task import TrainResult, fit_classifier

with needs_extra("train"):
    from accelerate import Accelerator
    from accelerate.utils import set_seed

__all__ = ["TrainOptions", "finetune", "train_by_recipe"]

_logger = logging.getLogger(__name__)

# What is the same in a run that is resumed, of what results.json says of it.
_IDENTITY = (
    *("start", "network_options", "frozen", "frozen_backbone", "random_start", "image_size", "classes"),
    *("labels_digest", "in_memory", "file_names_digest", "validation_set"),
)


@dataclass(frozen=True, kw_only=True)
class TrainOptions(FitOptions, DataOptions):
    """Options of `train_by_recipe` and `finetune`.

    Attributes:
        overrides: fields of the recipe to change, e.g. {"epochs": 5}, with which milestones and warm-up are rescaled.
        model_options: arguments of `timm.create_model`, e.g. {"sigma_init": 1.0}, for a model that timm knows.
        image_size: side of the images in pixels; None for the network's own.
        freeze: modules ("layer1") and patterns of parameters ("*.sigma") that are not trained.
        freeze_backbone: train the classifier only (linear probing).
        dataset: name of the validation set in records, e.g. "CIFAR-10 test"; None to describe the data.
        skip_bad: leave out images that cannot be read; results.json lists them, summary.csv counts those of a stream.
        memory_gb: largest memory for decoded images, in GB.
        accelerator: device, precision, processes and batches per update, which share the batch size; None for
            accelerate's defaults in float32.
        say: function that receives one line of text after each step.
        output, seed, resume, overwrite, save_every, val_every, ...: see `FitOptions`.
        data_dir, train_split, val_split, train_count, val_count, classes, image_column, label_column, val_share: see
            `gmconv_zoo.data.sources.DataOptions`.
    """

    overrides: dict[str, Any] = field(default_factory=dict)
    model_options: dict[str, Any] = field(default_factory=dict)
    image_size: int | None = None
    freeze: Sequence[str] = ()
    freeze_backbone: bool = False
    dataset: str | None = None
    skip_bad: bool = False
    memory_gb: float = 2.0
    accelerator: Accelerator | None = None
    say: Callable[[str], None] = _logger.info

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.freeze, str):
            raise TypeError(f"freeze={self.freeze!r} is a string: pass a list, freeze=[{self.freeze!r}].")


def train_by_recipe(
    model: str, data: str | Path, *, recipe: str | None = None, output: str | Path = "output/train", **options: Any
) -> TrainResult:
    """Train and write checkpoints, records, curves and the network of the last epoch.

    Args:
        model: a name timm knows; weights are random unless the model options say otherwise, which by default are those
            of `paper_start`.
        data: a folder with "train" and "val", a dataset that timm names, e.g. "torch/cifar10", or a stream.
        recipe: name of a network that the paper trains, to use its recipe, or "finetune"; None for that of ``model``.
        output: folder for everything that is written.
        **options: fields of `TrainOptions`.

    Returns:
        The last epoch's score and the rows.

    Raises:
        ValueError: for data, a model or a setting that cannot be used; the message says what to change.
        NonFiniteError: when training diverges; the last good checkpoint is kept.
        CheckpointError: when a checkpoint cannot be written; the previous one is kept.
    """
    chosen = _train_options(model, output=output, checkpoints=True, **options)
    given = chosen.model_options
    resolved = recipe_for(recipe or model, random_start=not given.get("pretrained")).adapt(**chosen.overrides)
    statistics = {} if given.get("pretrained") else dataset_statistics(data)
    overlay = {"pretrained_cfg_overlay": statistics} if statistics else {}
    network = {**paper_start(model), **overlay, **given}
    run = {"tag": split_model_name_tag(model)[1], "network_options": network}
    return _train(model, data, {"pretrained": False, **network}, lambda _: resolved, chosen, run)


def finetune(
    data: str | Path,
    model: str = "gmconv_resnet18.from_tv_in1k",
    *,
    pretrained: bool = True,
    output: str | Path = "output/finetune",
    **options: Any,
) -> TrainResult:
    """Train a network on a folder of images and keep its best epoch.

    Args:
        data: a folder of class folders, with or without "train" and "val", or a dataset that timm names.
        model: a name that timm knows, a folder that `gmconv_zoo.save` wrote, or a Hub repository.
        pretrained: False to start a model that timm knows from random weights.
        output: folder of the network, checkpoints, records and pictures. The network is ready for the Hub and loads
            with ``timm.create_model("local-dir:FOLDER", pretrained=True)``; one that was converted by hand, with
            `gmconv_zoo.load`.
        **options: fields of `TrainOptions`, e.g. overrides={"epochs": 5}.

    Returns:
        The best epoch's score and the rows.

    Raises:
        ValueError: for a folder, an image, a model or a setting that cannot be used; the message says what to change.
        NonFiniteError: when training diverges; the last good checkpoint is kept.
        CheckpointError: when a checkpoint cannot be written; the previous one is kept.
    """
    chosen = _train_options(model, output=output, checkpoints=True, end_with_best=True, **options)
    given = chosen.model_options
    if not is_timm_name(model) and (given or not pretrained):
        raise ValueError(
            f"{model} is built as it was saved: leave out model_options (--model-options) and pretrained=False "
            "(--no-pretrained)."
        )
    if given.get("pretrained") and not pretrained:
        raise ValueError(
            "weights to start from (--weights) and pretrained=False (--no-pretrained) exclude each other: pass one of "
            "them."
        )
    built = {**given, **({} if pretrained else {"pretrained": False})}
    run = {"network_options": given, "pretrained": pretrained, "random_start": not pretrained}
    random_start = starts_random(model, built)
    recipe_of = partial(finetuning_recipe, overrides=chosen.overrides, random_start=random_start)
    return _train(model, data, built, recipe_of, chosen, run)


def _train_options(model: str, **options: Any) -> TrainOptions:
    """Return the options of a training, which refuse wrong names and an output in use before any work is done."""
    known, of_recipe = ({field.name for field in fields(kind)} for kind in (TrainOptions, Recipe))
    if unknown := {name: options[name] for name in sorted(options.keys() - known)}:
        fix = f"pass overrides={unknown}" if unknown.keys() <= of_recipe else f"pass some of {', '.join(sorted(known))}"
        raise TypeError(f"{', '.join(unknown)} is not an option of training: {fix}.")
    chosen = TrainOptions(**options)
    check_run_folder(options["output"], resume=chosen.resume, overwrite=chosen.overwrite)
    check_model_name(model)
    return chosen


def _train(
    model: str,
    data: str | Path,
    built: dict[str, Any],
    recipe_of: Callable[[int], Recipe],
    options: TrainOptions,
    run: dict[str, Any],
) -> TrainResult:
    """Open the images, build and train the network; where it ends with its best epoch, describe its classes."""
    output, accelerator = Path(str(options.output)), options.accelerator or default_accelerator()
    finetuning = options.end_with_best
    images = _open(data, options, accelerator)
    stream, classes, count = images.train.stream, images.classes, len(images.train)
    recipe = recipe_of(count)
    options.say(f"{len(classes)} classes, {_counts(images)}")
    set_seed(options.seed)
    net = start_network(model, len(classes), image_size=options.image_size, **built)
    freeze_parts(net, options.freeze, backbone=options.freeze_backbone)
    height, width = data_config(net)["input_size"][1:]
    options.say(f"{model}: image size {height}x{width}, {described_run(recipe, accelerator)}")
    reading: dict[str, Any] = {"seed": options.seed, "skip_bad": options.skip_bad, "accelerator": accelerator}
    if stream:
        loaders = make_stream_loaders(net, images, recipe, **reading)
    else:
        loaders = make_loaders(net, images, recipe, memory_gb=options.memory_gb, drop_last=finetuning, **reading)
    described = {
        "start": lasting_name(model),
        "dataset": options.dataset or images.description,
        "model_options": options.model_options,
        "image_size": options.image_size,
        "frozen": list(options.freeze),
        "frozen_backbone": options.freeze_backbone,
        "split_made": images.split_made,
        **({} if stream else {"skipped_images": loaders.skipped}),
        **described_images(images, loaders),
        **run,
    }

    def describe_classes(answers: Answers) -> None:
        if finetuning and accelerator.is_main_process:
            write_class_files(answers.confusion(len(classes)), classes, loaders.train_labels, output)

    identity = [name for name in _IDENTITY if name in described]
    result = fit_classifier(
        net,
        loaders,
        recipe,
        options,
        accelerator=accelerator,
        run=described,
        identity=identity,
        on_best=describe_classes,
    )
    chosen = f"best epoch {result.epoch} of {len(result.rows)}" if finetuning else f"after epoch {result.epoch}"
    options.say(f"{chosen}: {result.score.top1_percent:.2f} % of {result.score.count} validation images")
    if accelerator.is_main_process:
        for parameter in net.parameters():
            parameter.requires_grad_(True)
        save(net.cpu().eval(), output, label_names=list(classes))
        if finetuning:
            draw_class_files(output, classes)
        options.say(closing_lines(output, _next_commands(output)))
    return result


def _open(data: str | Path, options: TrainOptions, accelerator: Accelerator) -> ImageData:
    """Open the images; if a dataset is downloaded, one process of each machine does it."""
    prefix = name_prefix(data)
    if prefix in STREAMS and options.end_with_best:
        raise ValueError(f"{data} is a stream: pass it to train_by_recipe (gmconv train) with the recipe finetune.")
    with accelerator.local_main_process_first() if prefix == "torch" else nullcontext():
        return open_data(data, options, seed=options.seed, output=options.output)


def _counts(images: ImageData) -> str:
    if images.train.stream:
        return f"{len(images.train)} training images in {len(images.train.reader.files)} shards"
    made = " (split made here)" if images.split_made else ""
    return f"{len(images.train)} training images and {len(images.val)} validation images{made}"


def _next_commands(output: Path) -> dict[str, str]:
    place = shlex.quote(str(output))
    return {
        "classify images": f"gmconv predict {place} IMAGES",
        "evaluate": f"gmconv validate DATA --model {place}",
        "report": f"gmconv report {place} --data DATA",
        "publish": f"gmconv publish {place} --repo ORG/NAME",
    }
