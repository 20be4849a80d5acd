"""Measure a trained detector on a dataset, or the predictions of one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from ..coco.file import CocoFile, read_results
from ..coco.folder import read_split
from ..coco.images import CocoImages, coco_loader
from ..engine.evaluate import evaluate
from ..engine.fit import default_accelerator
from ..extras import needs_extra
from ..files.records import RESULTS_NAME, write_json, write_results
from ..images.pixels import naming_unreadable
from ..saving.named import open_model
from ..saving.targets import check_target
from ..visualize.detections import compared, draw_boxes
from ..wording import distinct, listed, printable
from .build import categories_of
from .evaluate import CocoEvaluator, average_precision, warn_of_many_objects
from .train import PICTURE_NAME, PREDICTIONS_NAME, SHOWN_IMAGES, image_sizes, percent

with needs_extra("train"):
    from accelerate import Accelerator

__all__ = ["evaluate_detector", "measure", "read_for", "resize_to", "result_table"]

# What is written into an output folder.
_FILES = (RESULTS_NAME, PREDICTIONS_NAME, PICTURE_NAME, "predictions.csv")


def measure(
    data: str | Path,
    model: str | None = None,
    *,
    predictions: str | Path | None = None,
    split: str = "val",
    image_size: int | None = None,
    clip: bool = False,
    output: str | Path | None = None,
    overwrite: bool = False,
    accelerator: Accelerator | None = None,
    **evaluation: Any,
) -> dict[str, Any]:
    """Measure a detector, or a result file in COCO's format, on a split of a dataset; see `CocoEvaluator.result`.

    Args:
        data, split, clip: see `read_split`.
        model: what `open_model` takes.
        predictions: result file, instead of a model.
        image_size: shorter side of the images in pixels; None for the detector's own.
        output: folder for results.json and, with a model, its predictions and a picture of them; None to write nothing.
        overwrite: whether to write into a folder that contains other files.
        accelerator: device, precision and processes; None for accelerate's defaults in float32.
        **evaluation: further arguments of `evaluate_detector`.

    Raises:
        ValueError: for data, a model or predictions that cannot be used.
    """
    if (model is None) == (predictions is None):
        raise ValueError("pass either a model (MODEL) or predictions (--predictions), and the data (DATA).")
    if output is not None:
        inputs = [data, *([] if predictions is None else [predictions])]
        check_target(output, writes=_FILES, inputs=inputs, overwrite=overwrite)
    if model is None or predictions is not None:
        coco = read_split(data, split, clip=clip)
        result = average_precision(coco, read_results(str(predictions), coco))
        if output is not None:
            _write(output, data, split, result, predictions=str(predictions))
        return result
    accelerator = accelerator or default_accelerator()
    detector = open_model(model)
    resize_to(detector, image_size)
    coco = read_for(detector, data, split, clip)
    evaluator = evaluate_detector(detector, coco, accelerator=accelerator, **evaluation)
    result = evaluator.result()
    if output is not None and accelerator.is_main_process:
        _write(output, data, split, result, model=model, precision=accelerator.mixed_precision)
        found = read_results(write_json(Path(output) / PREDICTIONS_NAME, evaluator.detections()), coco)
        draw_boxes(compared(coco, found, count=SHOWN_IMAGES), Path(output) / PICTURE_NAME, classes=coco.classes)
    return result


def evaluate_detector(
    detector: nn.Module,
    coco: CocoFile,
    *,
    accelerator: Accelerator,
    batch_size: int = 1,
    workers: int | None = None,
    progress: bool = False,
) -> CocoEvaluator:
    """Run a detector on every image of an annotation file, which was read with the detector's classes.

    With a batch size above 1, on each process, images are padded to the largest of their batch, which changes
    detections slightly. Without a number of loader processes, one that suits the machine is chosen.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: pass at least 1 (--batch-size).")
    warn_of_many_objects(coco)
    evaluator = CocoEvaluator(coco)
    batch = batch_size * accelerator.num_processes
    loader = accelerator.prepare(coco_loader(CocoImages(coco), batch, workers=workers))
    bar = "evaluating" if progress else ""
    with naming_unreadable("Repair it, or remove it from the annotations."), accelerator.autocast():
        evaluate(detector.to(accelerator.device), loader, evaluator, accelerator=accelerator, progress=bar)
    return evaluator


def resize_to(detector: Any, side: int | None) -> None:
    """Let a detector resize the shorter side of its images to so many pixels; None keeps its own size.

    The largest longer side keeps its ratio to the shorter side.
    """
    categories_of(detector)
    if side is not None:
        transform, shorter = detector.transform, image_sizes(side)["min_size"]
        transform.max_size = round(shorter * transform.max_size / transform.min_size[-1])
        transform.min_size = (shorter,)


def result_table(result: dict[str, Any]) -> str:
    """Return the average precisions of a result in percent, one per line, the classes' last."""
    overall = {name: value for name, value in result.items() if name not in ("per_class", "images")}
    lines = [f"{name:5} {percent(value):>7}" for name, value in overall.items()]
    lines += [f"{percent(value):>13}  {printable(name)}" for name, value in result["per_class"].items()]
    return "\n".join([f"{result['images']} images; AP is the mean over IoU 0.5 to 0.95, then by class", *lines])


def read_for(detector: Any, data: str | Path, split: str, clip: bool) -> CocoFile:
    """Read a split with a detector's labels; of a detector without names they are the ids of the categories."""
    categories = categories_of(detector)
    if detector.gmconv_plan["categories"]:
        return read_split(data, split, classes=tuple(categories), clip=clip)
    coco = read_split(data, split, clip=clip)
    if beyond := sorted(key for key in coco.categories if not 1 <= key <= len(categories)):
        raise ValueError(
            f"{coco.path} has categories with the ids {listed([*map(str, beyond)])}, but the detector knows no names "
            f"and has the labels 1 to {len(categories)}: build it with its categories."
        )
    taken = set(coco.categories.values())  # a category may itself be called "3"
    names = (coco.categories.get(label, distinct(name, taken)) for name, label in categories.items())
    return replace(coco, classes=tuple(names))


def _write(output: str | Path, data: str | Path, split: str, result: dict[str, Any], **described: Any) -> None:
    write_results(output, {"dataset": f"{Path(data).resolve().name}, {split}", **described, "score": result})
