"""Train what experiments need, several runs at a time, and record each as soon as it is done."""

import logging
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import timm
import torch
from accelerate.utils import set_seed
from safetensors.torch import save_file

from gmconv_zoo import convert, fuse
from gmconv_zoo.classify.train import train_by_recipe
from gmconv_zoo.engine.fit import default_accelerator
from gmconv_zoo.engine.nonfinite import NonFiniteError
from gmconv_zoo.files.records import environment

from .arms import DATASETS
from .datasets import experiment_data
from .records import RunRecord, add_record, described_environment, read_records, record_of_folder

__all__ = ["RunSettings", "run_all"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunSettings:
    """How runs are trained; the fields are options of `python -m reproduce.experiments`."""

    data_dir: Path
    output: Path
    jobs: int = 1
    compile: bool = False
    val_every: int = 1


def run_all(runs: Sequence[RunRecord], results: str | Path, settings: RunSettings) -> list[RunRecord]:
    """Train the runs of `plan_runs` that are not in the CSV file yet, and return the records of all, in their order.

    A run that is interrupted goes on from its checkpoint when the same call is made again. One that diverges is
    recorded too; any other error stops the call, for it says nothing about a network.
    """
    if settings.jobs < 1:
        raise ValueError(f"jobs={settings.jobs}: pass at least 1.")
    known = {record.key: record for record in read_records(results, RunRecord)}
    waiting = [run for run in runs if run.key not in known]
    for data in {(run.dataset, run.train_images) for run in waiting}:  # downloaded before runs do so at the same time
        experiment_data(*data, settings.data_dir, settings.output)
    print(f"{len(runs)} runs: {len(runs) - len(waiting)} are recorded in {results}, {len(waiting)} are to be trained")

    def record(row: RunRecord) -> None:
        add_record(results, row)
        known[row.key] = row
        score = row.status if row.top1_percent is None else f"{row.top1_percent:.2f} % of {row.dataset}"
        print(f"{row.model} {row.options or ''} seed {row.seed}, {row.epochs} epochs: {score}")

    if settings.jobs == 1 or len(waiting) < 2:
        for run in waiting:
            record(train_one(run, settings))
    else:
        _run_in_parallel(waiting, settings, record)
    return [known[run.key] for run in runs]


def train_one(run: RunRecord, settings: RunSettings) -> RunRecord:
    """Train one run, or what is left of it, and return it with its results, also if it diverges."""
    folder = settings.output / _folder_name(run, settings)
    weights: dict[str, Any] = {}
    if run.masked_start is not None:
        weights = _masked_start(run, run.masked_start, Path(f"{folder}.safetensors"))
    try:
        train_by_recipe(
            run.model,
            experiment_data(run.dataset, run.train_images, settings.data_dir, settings.output),
            output=folder,
            recipe="cifar_resnet20",
            overrides=run.recipe.to_dict(),
            model_options={**run.options, **weights},
            data_dir=settings.data_dir,
            dataset=run.dataset,
            image_size=DATASETS[run.dataset].image_size,
            seed=run.seed,
            resume=True,
            val_every=settings.val_every,
            accelerator=default_accelerator(mixed_precision=run.precision, compile=settings.compile),
            progress=settings.jobs == 1,
        )
    except NonFiniteError as error:
        _logger.warning("%s: %s", folder.name, error)
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        about = {"compiled": "yes" if settings.compile else "", **described_environment(environment())}
        return replace(run, status=reason, **about)
    record = record_of_folder(folder)
    return replace(record, options=run.options, train_images=run.train_images, masked_start=run.masked_start)


def _masked_start(run: RunRecord, sigma: float, path: Path) -> dict[str, Any]:
    """Write the first weights of a run, with masked kernels, and return the model options that load them."""
    set_seed(run.seed)  # as training does, so that other weights start as they do without a mask
    net = timm.create_model(run.model, num_classes=DATASETS[run.dataset].classes, **run.options)
    masked = convert(net, preserve=False, stem="static", sigma_init=sigma)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(fuse(masked).state_dict(), path)
    return {"pretrained": True, "pretrained_cfg_overlay": {"file": str(path)}}


def _folder_name(run: RunRecord, settings: RunSettings) -> str:
    data = DATASETS[run.dataset].name + ("" if run.train_images is None else f"_{run.train_images}")
    changed = [f"{key}={value}".replace(" ", "") for key, value in sorted({**run.options, **run.changes}.items())]
    precision = [] if run.precision == "no" else [run.precision]
    compiled = ["compiled"] if settings.compile else []
    changed += [] if run.masked_start is None else [f"masked_start={run.masked_start}"]
    return "-".join([data, run.model, *changed, f"{run.epochs}epochs", f"seed{run.seed}", *precision, *compiled])


def _run_in_parallel(runs: Sequence[RunRecord], settings: RunSettings, record: Callable[[RunRecord], None]) -> None:
    threads = torch.get_num_threads()
    if not torch.accelerator.is_available():
        threads = max(1, (os.cpu_count() or 1) // settings.jobs)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(settings.jobs, context, torch.set_num_threads, (threads,)) as pool:
        futures: list[Future[RunRecord]] = [pool.submit(train_one, run, settings) for run in runs]
        try:
            for future in as_completed(futures):
                record(future.result())
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            if not isinstance(error, BrokenProcessPool):
                raise
            raise RuntimeError(
                "a training process was killed (out of memory?): start the same command again, perhaps with fewer "
                "jobs; finished runs are recorded, the others go on from their checkpoints."
            ) from error
