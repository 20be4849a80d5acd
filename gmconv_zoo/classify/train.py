"""Train or finetune a classifier by a recipe."""

import datetime
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..data.pixels import UnreadableImageError
from ..engine.allocator import keep_freed_memory
from ..engine.checkpoint import BEST_NAME, LAST_NAME, Checkpoints, load_weights
from ..engine.extras import needs_extra
from ..engine.loop import EpochCallback, TrainState, run_epochs
from ..engine.lost_process import naming_lost_process
from ..engine.optim import build_optimizer, build_scheduler
from ..engine.records import Summary, write_results
from ..engine.sigma_log import SigmaLog, revive_dead_units, stem_record, warn_of_static_layers
from ..visualize.classes import draw_curves
from .checkpoint_plan import CheckpointPlan, EarlyStop, best_row, open_checkpoints
from .evaluate import Score, evaluate, not_above_chance
from .loss import make_batch_loss
from .messages import log_epoch
from .recipes import Recipe

with needs_extra("train"):
    from accelerate import Accelerator
    from accelerate.data_loader import DataLoaderShard
    from accelerate.utils import DataLoaderConfiguration, DynamoBackend, set_seed

__all__ = ["TrainResult", "default_accelerator", "train"]

_logger = logging.getLogger(__name__)

Loader = DataLoader[tuple[Tensor, Tensor]]
# Images that the sigmas of dynamic layers are logged on.
PROBE_IMAGES = 256
CURVES_NAME = "curves.png"
_SECONDS_BETWEEN_CURVES = 10.0


@dataclass(frozen=True)
class TrainResult:
    """What a run gave.

    Attributes:
        score: of the weights the network ends with, on the validation images.
        rows: one per epoch, as in summary.csv.
        output: the folder written to, or None.
        epoch: the epoch that the weights are from.
    """

    score: Score
    rows: list[dict[str, Any]]
    output: Path | None
    epoch: int


def train(
    model: nn.Module,
    train_loader: Loader,
    val_loader: Loader,
    recipe: Recipe,
    *,
    output: str | Path | None = None,
    dataset: str = "",
    seed: int = 0,
    accelerator: Accelerator | None = None,
    channels_last: bool = True,
    class_weights: Tensor | None = None,
    checkpoints: CheckpointPlan | None = None,
    identity: dict[str, Any] | None = None,
    extra: dict[str, Any] | None = None,
    callbacks: Sequence[EpochCallback] = (),
    closing_callbacks: Sequence[EpochCallback] = (),
    val_every: int = 1,
    progress: bool = True,
) -> TrainResult:
    """Train a classifier in place and evaluate it after every epoch.

    The validation images are only evaluated, unless a recipe with patience or a plan that ends with the best epoch
    chooses the epoch by them. The score is then optimistic, and results.json says so.

    Args:
        model: network from (B, C, H, W) images to (B, classes) logits. It is moved to the accelerator's device.
        train_loader: loader of images and int64 labels, ``recipe.batch_size`` of them over all processes.
        val_loader: loader of the validation images, unshuffled.
        recipe: settings of the training. Augmentation is applied by the training loader.
        output: folder for summary.csv, results.json and curves.png, created when missing; None to write nothing.
        dataset: name of the validation images in records, e.g. "CIFAR-10 test".
        seed: seed of everything random except the loaders.
        accelerator: device, precision, gradient accumulation and processes; None for accelerate's defaults in
            float32. It must split batches over processes (``split_batches=True``), as the default one does.
        channels_last: keep images and kernels in this memory format, which is faster on most devices.
        class_weights: (classes,) factors of the loss, for a recipe with class weights.
        checkpoints: which checkpoints to write to ``output`` / "checkpoints", and whether to go on from them; None to
            write none.
        identity: further values, in addition to the network, the recipe, the seed and the like, that must be equal to
            go on from a checkpoint.
        extra: further values for results.json.
        callbacks: functions that run after each epoch, before its row is recorded.
        val_every: evaluate only after every so many epochs, and after the last one.
        closing_callbacks: functions that run after each epoch, once it is recorded and its checkpoint is written.
        progress: whether to show a progress bar.

    Returns:
        The final score and the rows. With a running average of the weights, the network ends with the average.

    Raises:
        ValueError: when loader and recipe disagree on the batch size, the network has nothing to train, the output
            cannot be written, or its checkpoints are of another run.
        NonFiniteError: when loss or parameters stop being finite.
        LostProcessError: when another process of the run was killed.
        CheckpointError: when a checkpoint cannot be written; the previous one is kept.
        UnreadableImageError: when an image that is read at every use cannot be read.
    """
    if val_every < 1:
        raise ValueError(f"val_every={val_every}: pass at least 1 epoch (--val-every).")
    accelerator = accelerator or default_accelerator()
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    _check_batch_size(train_loader, recipe, accelerator)
    set_seed(seed)
    with _naming_unreadable():
        probe = _probe_images(val_loader)
    state, train_loader, val_loader = _prepare(model, train_loader, val_loader, recipe, accelerator, channels_last)
    writer = None
    if checkpoints is not None:
        same = _identity(model, recipe, seed, accelerator, _images(train_loader)) | (identity or {})
        writer = open_checkpoints(checkpoints, state, output, same)
    summary = Summary(output if accelerator.is_main_process else None, rows=state.rows)

    def validate(state: TrainState, row: dict[str, Any]) -> None:
        if state.epoch % val_every and state.epoch < recipe.epochs:
            return
        with accelerator.autocast():
            net = state.model if state.ema is None else state.ema.module
            if state.ema is not None:  # batch norm's statistics are of each process's own images
                _share(net.buffers(), accelerator)
            score = evaluate(net, val_loader, accelerator=accelerator)
        row.update({f"val_{key}": value for key, value in score.to_dict().items()})

    curves = None if summary.path is None else summary.path.with_name(CURVES_NAME)
    drawn = time.monotonic()

    def record(state: TrainState, row: dict[str, Any]) -> None:
        nonlocal drawn
        summary.append(row)
        late = time.monotonic() - drawn > _SECONDS_BETWEEN_CURVES
        if curves is not None and late and any("val_top1" in row for row in summary.rows):
            draw_curves(summary.rows, curves)
            drawn = time.monotonic()
        log_epoch(row, recipe.epochs, curves)

    after_epoch: list[EpochCallback] = [validate, SigmaLog(probe), *callbacks, record]
    if recipe.patience is not None:
        after_epoch.append(EarlyStop(recipe.patience))
    if writer is not None:
        after_epoch.append(writer)
    weights = class_weights if recipe.class_weights else None
    classes = getattr(model, "num_classes", None)
    try:
        with _naming_unreadable(), naming_lost_process(None if writer is None else writer.folder / LAST_NAME):
            run_epochs(
                state,
                train_loader,
                epochs=recipe.epochs,
                batch_loss=make_batch_loss(recipe, classes=classes, class_weights=weights, channels_last=channels_last),
                clip_grad=recipe.clip_grad,
                clip_sigma=recipe.clip_sigma,
                first_batch_callbacks=[revive_dead_units],
                callbacks=[*after_epoch, *closing_callbacks],
                update_callbacks=[] if writer is None else [writer.after_update],
                progress=progress,
            )
    finally:
        accelerator.unwrap_model(
            state.model, keep_fp32_wrapper=False, keep_torch_compile=False
        )  # mixed precision patches forward
    row = _final_weights(model, state, checkpoints, writer)
    if accelerator.is_main_process and len(probe) > 1:
        warn_of_static_layers(model, row)
    score = Score(row["val_count"], row["val_top1"], row["val_top5"])
    top1 = best_row(state.rows)["val_top1"]
    if classes and (poor := not_above_chance(Score(score.count, top1, top1), classes)):
        _logger.warning(
            "in the best epoch %s. Check that the labels belong to the images; then try another "
            "learning rate (--lr), or more epochs.",
            poor,
        )
    if curves is not None:
        draw_curves(state.rows, curves)
    if output is not None and accelerator.is_main_process:
        results = _results(model, recipe, dataset, seed, accelerator, score, summary)
        selected = recipe.patience is not None or (checkpoints is not None and checkpoints.end_with_best)
        chosen = {"epoch": row["epoch"], "epoch_selected_on_validation": selected}
        chosen["training_images"] = _images(train_loader)
        if stem := stem_record(row, len(probe)):
            chosen["stem"] = stem
        write_results(output, {**results, **chosen, **(extra or {})})
    return TrainResult(score, summary.rows, None if output is None else Path(output), row["epoch"])


def default_accelerator(*, mixed_precision: str = "float32", compile: bool = False, **options: Any) -> Accelerator:
    """An accelerator whose processes share every batch, so that a recipe's batch size holds for any number.

    Args:
        mixed_precision: "float32", "bf16" or "fp16"; one process cannot use two of them.
        compile: train and evaluate with `torch.compile`.
        **options: others of `accelerate.Accelerator`.

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


@contextmanager
def _naming_unreadable() -> Iterator[None]:
    try:
        yield
    except UnreadableImageError as error:  # raised in a loader's process, it comes with that one's traceback
        said = str(error).strip().splitlines()[-1].rpartition("UnreadableImageError: ")[2]
        raise UnreadableImageError(
            f"{said} cannot be read. Repair it and go on with resume (--resume), or start anew with skip_bad "
            "(--skip-bad)."
        ) from None


def _check_batch_size(loader: Loader, recipe: Recipe, accelerator: Accelerator) -> None:
    images = (loader.batch_size or 0) * accelerator.gradient_accumulation_steps
    if not accelerator.split_batches or hasattr(loader.dataset, "total"):  # a stream's batches are of one process
        images *= accelerator.num_processes
    if images != recipe.batch_size:
        raise ValueError(
            f"the loader gives {images} images per optimizer update, but the recipe says batch_size="
            f"{recipe.batch_size}: build the loader with it, or pass recipe.override(batch_size={images})."
        )


def _images(loader: Loader) -> int:
    """Images of an epoch, over all processes."""
    return getattr(loader.dataset, "total", None) or len(loader.dataset)  # type: ignore[arg-type]


def _probe_images(loader: Loader) -> Tensor:
    if getattr(loader, "persistent_workers", False):  # not to be started for one batch
        loader = DataLoader(loader.dataset, loader.batch_size, collate_fn=loader.collate_fn)
    images, _ = next(iter(loader))
    return images[:PROBE_IMAGES]


def _prepare(
    model: nn.Module,
    train_loader: Loader,
    val_loader: Loader,
    recipe: Recipe,
    accelerator: Accelerator,
    channels_last: bool,
) -> tuple[TrainState, Loader, Loader]:
    if channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(model, recipe)
    updates = -(-len(train_loader) // accelerator.gradient_accumulation_steps)
    scheduler = build_scheduler(optimizer, recipe, updates_per_epoch=updates)
    ema = (
        ModelEmaV3(model.to(accelerator.device), decay=recipe.ema_decay, use_warmup=True) if recipe.ema_decay else None
    )
    prepared = accelerator.prepare(model, optimizer, val_loader)
    if not isinstance(train_loader, DataLoaderShard):  # a stream's loader is prepared already
        train_loader = accelerator.prepare(train_loader)
    return TrainState(accelerator, prepared[0], prepared[1], scheduler, ema=ema), train_loader, prepared[2]


def _final_weights(
    model: nn.Module, state: TrainState, plan: CheckpointPlan | None, writer: Checkpoints | None
) -> dict[str, Any]:
    """Give the network the weights that the run ends with; the row of the epoch they are from."""
    if plan is not None and writer is not None and plan.end_with_best:
        state.accelerator.wait_for_everyone()
        if state.accelerator.is_main_process:  # the others may not see its disk
            load_weights(writer.folder / BEST_NAME, model)
        _share(model.state_dict().values(), state.accelerator)
        return best_row(state.rows)
    if state.ema is not None:
        model.load_state_dict(state.ema.module.state_dict())
    return state.rows[-1]


def _share(tensors: Iterable[Tensor], accelerator: Accelerator) -> None:
    """Give every process the main one's values."""
    if accelerator.num_processes > 1:
        for tensor in tensors:
            whole = tensor.detach().contiguous()  # not every backend sends channels_last
            torch.distributed.broadcast(whole, 0)
            tensor.detach().copy_(whole)


def _identity(model: nn.Module, recipe: Recipe, seed: int, accelerator: Accelerator, images: int) -> dict[str, Any]:
    """What must be the same for a run to be the same run."""
    return {
        **_described(model, recipe, seed, accelerator),
        "accumulation": accelerator.gradient_accumulation_steps,
        "training images": images,
        "parameters trained": sum(parameter.requires_grad for parameter in model.parameters()),
    }


def _described(model: nn.Module, recipe: Recipe, seed: int, accelerator: Accelerator) -> dict[str, Any]:
    """What a checkpoint and results.json both say of a run."""
    config = getattr(model, "pretrained_cfg", None) or {}
    return {
        "model": config.get("architecture", type(model).__name__),
        "recipe": recipe.to_dict(),
        "seed": seed,
        "precision": accelerator.mixed_precision,
        "compiled": accelerator.state.dynamo_plugin.backend != DynamoBackend.NO,
    }


def _results(
    model: nn.Module,
    recipe: Recipe,
    dataset: str,
    seed: int,
    accelerator: Accelerator,
    score: Score,
    summary: Summary,
) -> dict[str, Any]:
    config = getattr(model, "pretrained_cfg", None) or {}
    skipped = [row["skipped_images"] for row in summary.rows if "skipped_images" in row]
    return {
        **_described(model, recipe, seed, accelerator),
        "tag": config.get("tag", ""),
        "dataset": dataset,
        "date": datetime.date.today().isoformat(),
        "processes": accelerator.num_processes,
        "score": score.to_dict(),
        "seconds": sum(row["seconds"] for row in summary.rows),
        "data_seconds": sum(row.get("data_seconds", 0.0) for row in summary.rows),
        **({"skipped_from_streams": sum(skipped)} if skipped else {}),
    }
