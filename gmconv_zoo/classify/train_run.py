"""Train a network from the start by the paper's recipe, any field of which may be changed."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from timm.models import split_model_name_tag

from ..data.sources import ImageData
from ..data.statistics import dataset_statistics
from ..data.streams import StreamData, StreamOptions, is_stream, open_stream
from ..engine.extras import needs_extra
from ..engine.freeze import freeze_parts
from ..saving import save
from ..saving.named import check_model_name
from .checkpoint_plan import CheckpointPlan, check_run_folder
from .loading import described_images, make_loaders, open_images, sharing
from .loss import balanced_weights
from .messages import closing_lines, starting_line
from .recipes import FINETUNE, Recipe, paper_start, recipe_for
from .start_network import start_network
from .stream_loading import make_stream_loaders
from .train import TrainResult, default_accelerator, train

with needs_extra("train"):
    from accelerate import Accelerator
    from accelerate.utils import set_seed

__all__ = ["choose_recipe", "train_by_recipe"]

_logger = logging.getLogger(__name__)


def train_by_recipe(
    model: str,
    data: str | Path,
    *,
    output: str | Path = "output/train",
    recipe: str | None = None,
    overrides: dict[str, Any] | None = None,
    model_options: dict[str, Any] | None = None,
    freeze: Sequence[str] = (),
    freeze_backbone: bool = False,
    data_dir: str | Path | None = None,
    stream: StreamOptions | None = None,
    dataset: str | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    save_every: int | None = None,
    val_every: int = 1,
    skip_bad: bool = False,
    memory_gb: float = 2.0,
    accelerator: Accelerator | None = None,
    progress: bool = True,
    say: Callable[[str], None] = _logger.info,
) -> TrainResult:
    """Train and write checkpoints, records, curves and the network of the last epoch.

    Args:
        model: a name timm knows; weights are random unless ``model_options`` say otherwise.
        data: a folder with "train" and "val", or a dataset that timm names, e.g. "torch/cifar10".
        output: folder for everything that is written.
        recipe: name of a network that the paper trains, to use its recipe, or "finetune"; None for that of ``model``.
        overrides: fields of the recipe to change; see `Recipe.adapt`.
        model_options: arguments of `timm.create_model`, e.g. {"sigma_init": 1.0}; by default those of `paper_start`.
        freeze: modules and parameters that are not trained, see `freeze_parts`.
        freeze_backbone: train the classifier only.
        data_dir: folder in which a named dataset is stored, or to which it is downloaded.
        stream: splits, counts and classes of a stream, "wds/NAME" or "hfids/NAME"; for "hfds/NAME" its splits.
        dataset: name of the validation images in records, e.g. "CIFAR-10 test"; None to describe ``data``.
        seed: seed of initial weights, order and augmentation.
        resume: go on from the last checkpoint in the output folder, if there is one.
        overwrite: replace an earlier run or network in the output folder; files of other names stay.
        save_every: also write a checkpoint after this many updates within an epoch.
        val_every: evaluate only after every so many epochs, and after the last one.
        skip_bad: leave out images that cannot be read; results.json lists them, summary.csv counts those of a stream.
        memory_gb: largest memory for decoded images in GB; larger datasets are read at every use.
        accelerator: device, precision and processes; None for accelerate's defaults in float32.
        progress: whether to show a progress bar.
        say: function that receives one line of text after each step.

    Returns:
        The last epoch's score and the rows.

    Raises:
        ValueError: for data, a model or a setting that cannot be used; the message says what to change.
        NonFiniteError: when training diverges; the last good checkpoint is kept.
        CheckpointError: when a checkpoint cannot be written; the previous one is kept.
    """
    output = Path(output)
    check_run_folder(output, resume=resume, overwrite=overwrite)
    check_model_name(model)
    resolved = choose_recipe(model, recipe).adapt(**(overrides or {}))
    accelerator = accelerator or default_accelerator()
    if accelerator.gradient_accumulation_steps < 1:
        raise ValueError(f"accumulate={accelerator.gradient_accumulation_steps}: pass at least 1 batch per update.")
    if (channels := (model_options or {}).get("in_chans", 3)) != 3:
        raise ValueError(f"in_chans={channels}: images are read with 3 channels, grey ones too; leave in_chans out.")
    images = _open(data, data_dir, stream, accelerator, seed, output)
    classes = len(images.classes)
    say(f"{classes} classes, {_counts(images)}")
    set_seed(seed)
    options = _network_options(model, data, model_options or {})
    net = start_network(model, classes, **{"pretrained": False, **options})
    freeze_parts(net, freeze, backbone=freeze_backbone)
    say(starting_line(model, net, resolved, accelerator))
    if isinstance(images, StreamData):
        sharing_streams: dict[str, Any] = {"accelerator": accelerator, "seed": seed, "skip_bad": skip_bad}
        loaders = make_stream_loaders(net, images, resolved, **sharing_streams)
    else:
        reading: dict[str, Any] = {"seed": seed, "skip_bad": skip_bad, "memory_gb": memory_gb}
        loaders = make_loaders(net, images, resolved, **reading, **sharing(accelerator))
    result = train(
        net,
        loaders.train,
        loaders.val,
        resolved,
        output=output,
        dataset=dataset or images.description,
        seed=seed,
        accelerator=accelerator,
        class_weights=balanced_weights(loaders.train_labels, classes),
        checkpoints=CheckpointPlan(resume=resume, overwrite=overwrite, every=save_every),
        identity={
            **({"tag": tag} if (tag := split_model_name_tag(model)[1]) else {}),
            "model options": options,
            **({"frozen": [*freeze, *(["backbone"] if freeze_backbone else [])]} if freeze or freeze_backbone else {}),
            **described_images(images, loaders),
        },
        extra={
            "model_options": model_options or {},
            "frozen": list(freeze),
            "frozen_backbone": freeze_backbone,
            "split_made": isinstance(images, ImageData) and images.split_made,
            **({} if isinstance(images, StreamData) else {"skipped_images": loaders.skipped}),
        },
        callbacks=loaders.callbacks,
        closing_callbacks=loaders.closing_callbacks,
        val_every=val_every,
        progress=progress,
    )
    if accelerator.is_main_process:
        save(net.cpu().eval(), output, label_names=list(images.classes))
        say(f"after epoch {result.epoch}: {result.score.top1_percent:.2f} % of {result.score.count} validation images")
        say(closing_lines(output))
    return result


def _network_options(model: str, data: str | Path, given: dict[str, Any]) -> dict[str, Any]:
    """Join the options of `timm.create_model`: the user's, the paper's, and a dataset's own channel statistics."""
    statistics = {} if given.get("pretrained") else dataset_statistics(data)
    overlay = {"pretrained_cfg_overlay": statistics} if statistics else {}
    return {**paper_start(model), **overlay, **given}


def choose_recipe(model: str, name: str | None = None) -> Recipe:
    """Return the recipe of a name, by default the network's own.

    Args:
        model: name of the network.
        name: name of a network that the paper trains, or "finetune".

    Raises:
        ValueError: when the recipe does not exist.
    """
    return FINETUNE if name == "finetune" else recipe_for(name or model)


def _open(
    data: str | Path,
    data_dir: str | Path | None,
    stream: StreamOptions | None,
    accelerator: Accelerator,
    seed: int,
    output: Path,
) -> ImageData | StreamData:
    if not is_stream(data):
        fields = ("train_split", "val_split", "image_column", "label_column")
        splits = {name: getattr(stream, name, None) for name in fields}
        if stream not in (None, StreamOptions(**splits)):
            raise ValueError(f"{data} is not a stream: leave out --train-count, --val-count and --classes.")
        return open_images(data, accelerator, data_dir=data_dir, seed=seed, output=output, **splits)
    return open_stream(str(data), options=stream, data_dir=data_dir, processes=accelerator.num_processes)


def _counts(images: ImageData | StreamData) -> str:
    if isinstance(images, StreamData):
        return f"{images.train.count} training images in {len(images.train.files)} shards"
    made = " (split made here)" if images.split_made else ""
    return f"{len(images.train.labels)} training images and {len(images.val.labels)} validation images{made}"
