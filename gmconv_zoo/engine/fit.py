"""One training run of any task: epochs with evaluation, records, checkpoints from which it continues, and its end."""

import datetime
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..extras import needs_extra
from ..files.records import RESULTS_NAME, SUMMARY_NAME, write_json, write_results
from ..saving import CONFIG_NAME, WEIGHTS_NAME
from ..saving.targets import check_target
from .allocator import keep_freed_memory
from .checkpoint import BEST_NAME, CHECKPOINTS_FOLDER, LAST_NAME, Checkpoints, load_weights
from .epochs import CURVES_NAME, Recording, Validation, best_row, share, stop_if_late
from .loop import BatchCallback, EpochCallback, TrainState, run_epochs
from .optim import TrainSettings, build_optimizer, build_scheduler
from .sigma_log import revive_dead_units, sigma_row, stem_record, warn_of_static_layers
from .task import FitOptions, Task

with needs_extra("train"):
    from accelerate import Accelerator
    from accelerate.data_loader import DataLoaderShard
    from accelerate.utils import DataLoaderConfiguration, DynamoBackend, set_seed
    from timm.utils import ModelEmaV3

__all__ = [
    "FitOptions",
    "FitResult",
    "Task",
    "best_row",
    "check_run_folder",
    "default_accelerator",
    "described_run",
    "fit",
]

_logger = logging.getLogger(__name__)

RECIPE_NAME = "recipe.json"
# Everything that a training writes into its output folder.
_RUN_FILES = frozenset(
    [
        *(CHECKPOINTS_FOLDER, RECIPE_NAME, SUMMARY_NAME, RESULTS_NAME, CONFIG_NAME, WEIGHTS_NAME, CURVES_NAME),
        *("classes.csv", "classes.png", "confusion.csv", "confusion.png"),
        *("predictions.json", "predictions.csv", "predictions.png"),
    ]
)
# Images that the sigmas of dynamic layers are logged on. Those of a list are of any size, and large ones on COCO.
PROBE_IMAGES, LISTED_PROBE_IMAGES = 256, 64


@dataclass(frozen=True)
class FitResult:
    """What a run gave: the row of the epoch that the network's weights are from, and all rows as in summary.csv."""

    row: dict[str, Any]
    rows: list[dict[str, Any]]


def fit(
    model: nn.Module,
    loaders: tuple[DataLoader[Any], DataLoader[Any]],
    task: Task,
    settings: TrainSettings,
    options: FitOptions,
    *,
    accelerator: Accelerator,
    run: dict[str, Any],
    identity: Iterable[str] = (),
) -> FitResult:
    """Train a network in place and evaluate it after every epoch.

    The validation set is only evaluated, unless settings with patience or an end with the best epoch choose the epoch
    by it. The score is then optimistic, and results.json says so.

    With a running average of the weights, the network ends with the average.

    Args:
        loaders: of training, ``settings.batch_size`` samples over all processes, and of validation, unshuffled. A
            batch has two parts: the images, (B, C, H, W) or a list of (C, H, W), and their targets.
        accelerator: device, precision, gradient accumulation and processes, see `default_accelerator`.
        run: further values that describe the run, for results.json.
        identity: names of those values that must be equal to continue from a checkpoint.

    Raises:
        ValueError: when loader and settings disagree on the batch size, the network has nothing to train, the output
            cannot be written, or its checkpoints are of another run.
        NonFiniteError: when loss or parameters stop being finite.
        CheckpointError: when a checkpoint cannot be written; the previous one is kept.
    """
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    _check_batch_size(loaders[0], settings, accelerator)
    set_seed(options.seed)
    probe = _probe_images(loaders[1])
    revival = _revival(probe, loaders[0])
    described = {**_described(model, loaders[0], settings, options, accelerator), **run}
    if options.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    state, train_loader, val_loader = _prepare(model, *loaders, task, settings, accelerator)
    writer = None
    if options.checkpoints:
        names = [*_IDENTITY, *identity]
        writer = _open_checkpoints(options, state, {name: described[name] for name in names}, f"val_{task.metric}")
    folder = Path(options.output) if options.output is not None and accelerator.is_main_process else None
    after_epoch: list[EpochCallback] = [
        Validation(task, val_loader, options),
        lambda state, row: row.update(sigma_row(state.result, probe)),
        *task.callbacks,
        Recording(task, folder),
        lambda state, row: stop_if_late(state, task.metric),
        *([] if writer is None else [writer]),
    ]
    try:
        run_epochs(
            state,
            train_loader,
            callbacks=[*after_epoch, *task.closing_callbacks],
            on_first_batch=revival,
            after_update=None if writer is None else writer.after_update,
            progress=options.progress,
        )
    finally:
        accelerator.unwrap_model(
            state.model, keep_fp32_wrapper=False, keep_torch_compile=False
        )  # mixed precision patches forward
    row = _final_weights(model, state, writer if options.end_with_best else None, task.metric)
    if accelerator.is_main_process and len(probe) > 1:
        warn_of_static_layers(model, row)
    if folder is not None:
        if task.draw is not None:
            task.draw(state.rows, folder / CURVES_NAME)
        chosen = settings.patience is not None or options.end_with_best
        stem = stem_record(row, len(probe))
        write_results(folder, described | _outcome(row, state.rows, chosen) | ({} if stem is None else {"stem": stem}))
    return FitResult(row, state.rows)


def default_accelerator(*, mixed_precision: str = "float32", compile: bool = False, **options: Any) -> Accelerator:
    """An accelerator whose processes share every batch, so that a recipe's batch size holds for any number.

    The precision is "float32", "bf16" or "fp16", and one process cannot use two of them; ``compile`` trains and
    evaluates with `torch.compile`, and other options are those of `accelerate.Accelerator`.

    Raises:
        ValueError: for fp16 without a device that has it, which accelerate would pass over in silence.
    """
    config = DataLoaderConfiguration(split_batches=True)
    # where there is no device, processes that torchrun started join only when told to use the CPU
    options.setdefault("cpu", not torch.accelerator.is_available())
    if compile:
        options.setdefault("dynamo_backend", "inductor")
    kind = "no" if mixed_precision == "float32" else mixed_precision  # accelerate's word
    accelerator = Accelerator(dataloader_config=config, mixed_precision=kind, **options)
    if mixed_precision == "fp16" and accelerator.device.type == "cpu":
        raise ValueError("precision fp16 needs a GPU; on a CPU pass bf16 or float32.")
    return accelerator


def described_run(settings: TrainSettings, accelerator: Accelerator) -> str:
    """Describe in one line how a training is carried out: batch, learning rate, epochs, device and precision."""
    parts, processes = accelerator.gradient_accumulation_steps, accelerator.num_processes
    divided = f" ({parts} parts)" if parts > 1 else ""
    warmup = f", warm-up epochs {settings.warmup_epochs:.2g}" if settings.warmup_epochs else ""
    shared = f", {processes} processes" if processes > 1 else ""
    precision = {"no": "float32"}.get(accelerator.mixed_precision, accelerator.mixed_precision)
    return (
        f"batch size {settings.batch_size}{divided}, learning rate {settings.lr:g} ({settings.optimizer}, "
        f"{settings.schedule}{warmup}), epochs {settings.epochs}, device {accelerator.device}{shared}, precision "
        f"{precision}"
    )


def check_run_folder(output: str | Path, *, resume: bool, overwrite: bool) -> None:
    """Raise `ValueError` for a folder in which a run would replace an earlier run, a network or other files.

    With ``resume``, a folder with a checkpoint is this run's own; with ``overwrite``, an earlier run or network is
    replaced.
    """
    if resume and overwrite:
        raise ValueError("resume (--resume) and overwrite (--overwrite) exclude each other: pass one of them.")
    path = Path(output) / CHECKPOINTS_FOLDER / LAST_NAME
    if path.is_file() and not resume and not overwrite:
        raise ValueError(
            f"{path} is from an earlier run. Pass resume (--resume) to continue it, overwrite (--overwrite) to "
            "replace it, or choose another output (--output)."
        )
    check_target(output, writes=_RUN_FILES, overwrite=overwrite or path.is_file())


def _check_batch_size(loader: DataLoader[Any], settings: TrainSettings, accelerator: Accelerator) -> None:
    images = (loader.batch_size or 0) * accelerator.gradient_accumulation_steps
    if not accelerator.split_batches or hasattr(loader.dataset, "total"):  # a stream's batches are of one process
        images *= accelerator.num_processes
    if images != settings.batch_size:
        raise ValueError(
            f"the loader gives {images} images per optimizer update, but the recipe says batch_size="
            f"{settings.batch_size}: build the loader with it, or pass recipe.override(batch_size={images})."
        )


def _probe_images(loader: DataLoader[Any]) -> Tensor | list[Tensor]:
    """Return the first images of a loader, as a list where a batch holds a list of them."""
    if getattr(loader, "persistent_workers", False):  # not to be started for one batch
        loader = DataLoader(loader.dataset, loader.batch_size, collate_fn=loader.collate_fn)
    batches = iter(loader)
    first = next(batches, None)
    if first is None:
        raise ValueError("a loader gives no batch: its images are missing, or none of them can be read.")
    images = first[0]
    if isinstance(images, Tensor):
        return images[:PROBE_IMAGES]
    for more, _ in batches:
        if len(images) >= LISTED_PROBE_IMAGES:
            break
        images = [*images, *more]
    return images[:LISTED_PROBE_IMAGES]


def _revival(probe: Tensor | list[Tensor], loader: DataLoader[Any]) -> BatchCallback:
    """Revive by the batch, or by more training images where a batch is a list: on its few, many units are 0."""
    if isinstance(probe, Tensor):
        return revive_dead_units
    images = _probe_images(DataLoader(loader.dataset, 1, collate_fn=loader.collate_fn))
    return lambda state, _: revive_dead_units(state, (images, None))


def _prepare(
    model: nn.Module,
    train_loader: DataLoader[Any],
    val_loader: DataLoader[Any],
    task: Task,
    settings: TrainSettings,
    accelerator: Accelerator,
) -> tuple[TrainState, DataLoader[Any], DataLoader[Any]]:
    optimizer = build_optimizer(model, settings)
    updates = -(-len(train_loader) // accelerator.gradient_accumulation_steps)
    scheduler = build_scheduler(optimizer, settings, updates_per_epoch=updates)
    decay = settings.ema_decay
    ema = ModelEmaV3(model.to(accelerator.device), decay=decay, use_warmup=True) if decay else None
    prepared = accelerator.prepare(model, optimizer, val_loader)
    if not isinstance(train_loader, DataLoaderShard):  # a stream's loader is prepared already
        train_loader = accelerator.prepare(train_loader)
    state = TrainState(accelerator, prepared[0], prepared[1], scheduler, settings, task.batch_loss, ema=ema)
    return state, train_loader, prepared[2]


def _open_checkpoints(options: FitOptions, state: TrainState, identity: dict[str, Any], best: str) -> Checkpoints:
    """The writer of a run's checkpoints, once the state is where the last one left it."""
    if options.output is None:
        raise ValueError("checkpoints need an output folder: pass output.")
    check_run_folder(options.output, resume=options.resume, overwrite=options.overwrite)
    writer = Checkpoints(Path(options.output) / CHECKPOINTS_FOLDER, identity, every=options.save_every, best=best)
    if options.resume:
        writer.resume(state)
    elif state.accelerator.is_main_process:  # or this run, interrupted before it has saved, would go on with that one
        for name in (BEST_NAME, LAST_NAME):
            (writer.folder / name).unlink(missing_ok=True)
    if state.accelerator.is_main_process:
        write_json(Path(options.output) / RECIPE_NAME, identity["recipe"])
    return writer


def _final_weights(model: nn.Module, state: TrainState, writer: Checkpoints | None, metric: str) -> dict[str, Any]:
    """Give the network the weights that the run ends with: a writer's best ones; the row of the epoch they are from."""
    if writer is not None:
        state.accelerator.wait_for_everyone()
        if state.accelerator.is_main_process:  # the others may not see its disk
            load_weights(writer.folder / BEST_NAME, model)
        share(model.state_dict().values())
        return best_row(state.rows, metric)
    if state.ema is not None:
        model.load_state_dict(state.ema.module.state_dict())
    return state.rows[-1]


# What must be the same for a run to be the same run, of what `_described` says.
_IDENTITY = (
    "model",
    "recipe",
    "seed",
    "precision",
    "compiled",
    "accumulation",
    "training_images",
    "parameters_trained",
)


def _described(
    model: nn.Module,
    loader: DataLoader[Any],
    settings: TrainSettings,
    options: FitOptions,
    accelerator: Accelerator,
) -> dict[str, Any]:
    """What every run says of itself, whatever it trains."""
    config = getattr(model, "pretrained_cfg", None) or {}
    return {
        "model": config.get("architecture", type(model).__name__),
        "tag": config.get("tag", ""),
        "recipe": settings.to_dict(),
        "seed": options.seed,
        "precision": accelerator.mixed_precision,
        "compiled": accelerator.state.dynamo_plugin.backend != DynamoBackend.NO,
        "accumulation": accelerator.gradient_accumulation_steps,
        "processes": accelerator.num_processes,
        "training_images": getattr(loader.dataset, "total", None) or len(loader.dataset),  # type: ignore[arg-type]
        "parameters_trained": sum(parameter.requires_grad for parameter in model.parameters()),
    }


def _outcome(row: dict[str, Any], rows: list[dict[str, Any]], chosen: bool) -> dict[str, Any]:
    """What is known at a run's end only."""
    skipped = [earlier["skipped_images"] for earlier in rows if "skipped_images" in earlier]
    return {
        "date": datetime.date.today().isoformat(),
        "score": {key.removeprefix("val_"): value for key, value in row.items() if key.startswith("val_")},
        "epoch": row["epoch"],
        "epoch_selected_on_validation": chosen,
        "seconds": sum(earlier["seconds"] for earlier in rows),
        "data_seconds": sum(earlier.get("data_seconds", 0.0) for earlier in rows),
        **({"skipped_from_streams": sum(skipped)} if skipped else {}),
    }
