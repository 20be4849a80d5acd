"""A whole validation: find images and models, evaluate, compare with what is documented, and say how it went."""

import datetime
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from ..engine.allocator import keep_freed_memory
from ..extras import needs_extra
from ..files.records import RESULTS_NAME, SUMMARY_NAME, environment, write_results, write_rows
from ..images.image_source import ImageSource
from . import documented
from .settings import ValidationRow, ValidationSettings
from .validate import find_models, validate_one

with needs_extra("train"):
    from accelerate import Accelerator
    from accelerate.utils import broadcast_object_list

__all__ = ["REPORT_FILES", "ValidationReport", "result_table", "run_validation"]

# What is written into an output folder.
REPORT_FILES = (SUMMARY_NAME, RESULTS_NAME)
_VERSIONS = ("gmconv_zoo", "commit", "torch", "timm", "gpu", "processor")


@dataclass(frozen=True)
class ValidationReport:
    """The outcome of `run_validation`: a row per model, and tables for the terminal in the first process.

    It is ok if no model failed and, when verifying, every documented number was met.
    """

    rows: list[ValidationRow]
    text: str
    ok: bool

    @property
    def status(self) -> int:
        """Exit status; 0 in all processes but the first, or a launcher would stop it before it has said why."""
        return int(bool(self.text) and not self.ok)


def run_validation(
    models: Sequence[str],
    source: ImageSource,
    settings: ValidationSettings | None = None,
    *,
    output: str | Path | None = None,
    verify: bool = False,
    cpu: bool = False,
) -> ValidationReport:
    """Evaluate models, and with ``verify`` compare them with their documented accuracy.

    Args:
        models: names and patterns of timm, folders that `gmconv_zoo.save` or a training wrote, checkpoints, or Hub
            repositories. With ``verify``, an empty list stands for all models with a documented accuracy.
        source: the images, as `gmconv_zoo.data.eval_data.open_eval_data` opens them.
        settings: settings of the evaluation; None for their defaults.
        output: folder for summary.csv and results.json, written anew after every model; None to write nothing.
        verify: compare with documented accuracies; the images must be the whole ImageNet-1k validation set.
        cpu: use the CPU even if there is a GPU.

    Returns:
        One row per model, the tables as text, and whether everything was as it should be.

    Raises:
        TypeError: for a single name in place of a list, or a folder in place of a source.
        ValueError: for names, data or settings that cannot be used.
        BadImagesError, LoaderError: when images cannot be read; what was evaluated before is on disk.
        OSError: when the output cannot be written; nothing has been evaluated then.
    """
    if not models and not verify:
        raise ValueError("no model: pass a name, a pattern, a folder or a Hub repository (--model).")
    if isinstance(models, str) or not isinstance(source, ImageSource):
        raise TypeError("pass a list of models, and the source that gmconv_zoo.data.eval_data.open_eval_data returns.")
    settings = settings or ValidationSettings()
    order, train_sized = "", []
    if not verify:
        found = list(dict.fromkeys(name for model in models for name in find_models(model)))
    else:
        found = documented.documented_models(models)
        order, train_sized = documented.check_full_imagenet(source, settings), documented.train_sized(found)
    accelerator = _accelerator(cpu)
    if settings.weights is not None and len(found) != 1:
        raise ValueError(f"weights (--weights) are for one model, but {len(found)} are to be evaluated: pass one name.")
    (found,) = broadcast_object_list([found])  # a running training may have written a checkpoint in between
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    folder = Path(output) if output is not None and accelerator.is_main_process else None
    rows = list[ValidationRow]()
    versions = {key: value for key, value in environment().items() if key in _VERSIONS}
    _write(folder, rows, source, settings, accelerator)
    for name in found:
        own = replace(settings, train_input_size=name in train_sized) if verify else settings
        rows.append(validate_one(name, source, own, accelerator))
        if folder is not None:
            write_rows(folder / SUMMARY_NAME, [{**row.to_dict(), "dataset": source.name, **versions} for row in rows])
        _write(folder, rows, source, settings, accelerator)
    comparisons = documented.compare(rows) if verify else []
    ok = not any(row.error for row in rows) and not any(item.problem for item in comparisons)
    text = result_table(rows)
    if verify:
        text += f"\n\n{documented.comparison_table(comparisons)}\nclass order: {order}"
    return ValidationReport(rows, text if accelerator.is_main_process else "", ok)


def result_table(rows: Sequence[ValidationRow]) -> str:
    """One line per model: counts and percentages, or why it failed."""
    lines, width = [], max((len(row.model) for row in rows), default=0)
    for row in rows:
        if row.score is None:
            lines.append(f"{row.model:{width}}  failed: {row.error}")
            continue
        score = row.score
        line = (
            f"{row.model:{width}}  top-1 {score.top1_percent:.3f} % ({score.top1}/{score.count})  "
            f"top-5 {score.top5_percent:.3f} % ({score.top5}/{score.count})"
        )
        lines.append(f"{line}  {row.bad} bad images left out" if row.bad else line)
        lines += [f"{'':{width}}  left out: {name}" for name in row.details.get("bad_images", ())]
    return "\n".join(lines)


def _write(
    folder: str | Path | None,
    rows: Sequence[ValidationRow],
    source: ImageSource,
    settings: ValidationSettings,
    accelerator: Accelerator,
) -> None:
    if folder is None:
        return
    record = {
        "dataset": source.name,
        "date": datetime.date.today().isoformat(),
        "settings": asdict(settings),
        "processes": accelerator.num_processes,
        "device": str(accelerator.device),
        "results": [row.to_dict() for row in rows],
    }
    write_results(folder, record)


def _accelerator(cpu: bool) -> Accelerator:
    # without a GPU accelerate joins a launcher's processes only when it is told to use the CPU
    accelerator = Accelerator(cpu=cpu or not torch.accelerator.is_available())
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != launched:
        raise RuntimeError(f"{launched} processes were launched, but only {accelerator.num_processes} work together.")
    return accelerator
