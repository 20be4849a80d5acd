"""Train what experiments need, several runs at a time, and record each as soon as it is done."""

import logging
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from gmconv_zoo.classify.train import train_by_recipe
from gmconv_zoo.engine.fit import default_accelerator
from gmconv_zoo.engine.nonfinite import NonFiniteError
from gmconv_zoo.files.records import environment

from .arms import Run, dataset_of
from .datasets import experiment_data
from .records import RunRecord, add_record, base_recipe, described_environment, read_records, record_of_folder

__all__ = ["RunSettings", "run_all"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunSettings:
    """How runs are trained.

    Attributes:
        data_dir: contains an image folder per dataset, "cifar10" and the like, or torchvision's files, which are
            downloaded there when missing.
        output: a folder per run is made in it.
        precision: "no" for float32, "bf16" or "fp16".
        jobs: runs at a time; they share the cores, or the GPU.
        compile: use torch.compile.
        val_every: evaluate after so many epochs only, and after the last one.
    """

    data_dir: Path
    output: Path
    precision: str = "no"
    jobs: int = 1
    compile: bool = False
    val_every: int = 1


def run_all(
    runs: Sequence[Run],
    results: str | Path,
    settings: RunSettings,
    *,
    say: Callable[[str], None] = _logger.info,
) -> list[RunRecord]:
    """Train every run that is not recorded yet, and return the records of all, in their order.

    A run that is interrupted goes on from its checkpoint when the same call is made again. One that diverges is
    recorded too; any other error stops the call, for it says nothing about a network.

    Args:
        runs: from `plan_runs`.
        results: the CSV file with a row per run.
        settings: how they are trained.
        say: receives a line of text per run.

    Raises:
        ValueError: for jobs below 1, images that cannot be had or a results file that cannot be read.
        RuntimeError: when a process was killed; finished runs are recorded.
    """
    if settings.jobs < 1:
        raise ValueError(f"jobs={settings.jobs}: pass at least 1.")
    known = {record.key: record for record in read_records(results, RunRecord)}
    keys = [run.record(settings.precision).key for run in runs]
    waiting = [run for run, key in zip(runs, keys, strict=True) if key not in known]
    for name in sorted({run.dataset for run in waiting}):  # downloads, if any, before runs do so at the same time
        experiment_data(name, settings.data_dir, settings.output)
    say(f"{len(runs)} runs: {len(runs) - len(waiting)} are recorded in {results}, {len(waiting)} are to be trained")

    def record(row: RunRecord) -> None:
        add_record(results, row)
        known[row.key] = row
        score = row.status if row.top1_percent is None else f"{row.top1_percent:.2f} % of {row.dataset}"
        say(f"{row.model} {row.options or ''} seed {row.seed}, {row.epochs} epochs: {score}")

    if settings.jobs == 1 or len(waiting) < 2:
        for run in waiting:
            record(train_one(run, settings, threads=None))
    else:
        _run_in_parallel(waiting, settings, record)
    return [known[key] for key in keys]


def train_one(run: Run, settings: RunSettings, *, threads: int | None) -> RunRecord:
    """Train one run, or what is left of it, and return its record, also if it diverges.

    It takes so many threads of torch; None for as many as there are.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    kinds = [*([] if settings.precision == "no" else [settings.precision]), *(["compiled"] if settings.compile else [])]
    folder = settings.output / "-".join([run.name, *kinds])
    dataset, _ = dataset_of(run.dataset)
    try:
        train_by_recipe(
            run.model,
            experiment_data(run.dataset, settings.data_dir, settings.output),
            output=folder,
            recipe="cifar_resnet20",
            overrides=base_recipe(run.model).adapt(**run.overrides).to_dict(),
            model_options=run.options,
            data_dir=settings.data_dir,
            dataset=dataset.label,
            image_size=dataset.image_size,
            seed=run.seed,
            resume=True,
            val_every=settings.val_every,
            accelerator=default_accelerator(mixed_precision=settings.precision, compile=settings.compile),
            progress=settings.jobs == 1,
        )
    except NonFiniteError as error:
        _logger.warning("%s: %s", run.name, error)
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        about = {"compiled": "yes" if settings.compile else "", **described_environment(environment())}
        return run.record(settings.precision, status=reason, **about)
    return replace(record_of_folder(folder), options=run.options, train_images=dataset_of(run.dataset)[1])


def _run_in_parallel(runs: Sequence[Run], settings: RunSettings, record: Callable[[RunRecord], None]) -> None:
    threads = None if torch.accelerator.is_available() else max(1, (os.cpu_count() or 1) // settings.jobs)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(settings.jobs, mp_context=context) as pool:
        futures: list[Future[RunRecord]] = [pool.submit(train_one, run, settings, threads=threads) for run in runs]
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
