"""Train a detector on a COCO annotation file, the user's own or COCO's: one call."""

import json
import logging
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..coco.file import CocoFile, read_results
from ..coco.folder import read_split
from ..coco.images import CocoImages, coco_loader
from ..engine.accumulation import part_size
from ..engine.fit import FitOptions, FitResult, Task, check_run_folder, default_accelerator, described_run, fit
from ..extras import needs_extra
from ..files.records import write_json
from ..images.pixels import naming_unreadable
from ..models._names import MASKED_FAMILIES, tagged_name
from ..saving import save
from ..saving.folder import closing_lines
from ..saving.named import lasting_name
from ..visualize.curves import draw_ap_curves
from ..visualize.detections import compared, draw_boxes
from ..weights.check import sha256_of
from ..wording import listed
from .build import build
from .evaluate import CocoEvaluator, warn_of_many_objects
from .presets import preset_arguments
from .recipe import ONE_X, recipe_for

with needs_extra("train"):
    from accelerate import Accelerator
    from accelerate.utils import set_seed

__all__ = [
    "PICTURE_NAME",
    "PREDICTIONS_NAME",
    "SHOWN_IMAGES",
    "DetectionOptions",
    "image_sizes",
    "percent",
    "train",
]

_logger = logging.getLogger(__name__)

PREDICTIONS_NAME, PICTURE_NAME = "predictions.json", "predictions.png"
SHOWN_IMAGES = 6
# What is the same in a run that is resumed, of what results.json says of it.
_IDENTITY = ("detector", "network_options", "start", "training_set", "validation_set")


@dataclass(frozen=True, kw_only=True)
class DetectionOptions(FitOptions):
    """Options of `train`.

    Attributes:
        overrides: fields of the recipe to change, see `recipe_for`.
        model_options: arguments of `build`, which replace those of the preset.
        pretrained: whether the backbone starts from its pretrained weights.
        weights: whole detector to start from, see `build`; None to start from the backbone.
        image_size: length in pixels of the shorter side of the images; None for 800.
        workers: loader processes of each process; None for a number that suits the machine.
        clip: clip boxes that leave their image, instead of refusing them.
        accelerator: device, precision, processes and batches per update, which share the batch size; None for
            accelerate's defaults in float32.
        say: function that receives one line of text after each step.
        output, seed, resume, overwrite, save_every, val_every, ...: see `FitOptions`.
    """

    overrides: dict[str, Any] = field(default_factory=dict)
    model_options: dict[str, Any] = field(default_factory=dict)
    pretrained: bool = True
    weights: str | Path | None = None
    image_size: int | None = None
    workers: int | None = None
    clip: bool = False
    accelerator: Accelerator | None = None
    say: Callable[[str], None] = _logger.info


def train(
    data: str | Path,
    *,
    preset: str | None = "faster_gmconv_l1",
    output: str | Path = "output/detect-train",
    **options: Any,
) -> FitResult:
    """Train a detector and keep the epoch with the best average precision on the validation set.

    Args:
        data: folder with the splits "train" and "val", see `read_split`.
        preset: one of `presets`; None for the defaults of `build`. If it has masks, all stages are trained, unless the
            model options say otherwise.
        output: folder of the network, checkpoints, records, predictions and pictures.
        **options: fields of `DetectionOptions`.

    Returns:
        The best epoch's row, with "val_AP" in [0, 1], and all rows.

    Raises:
        ValueError: for data, a detector or a setting that cannot be used; and as `gmconv_zoo.engine.fit.fit`.
    """
    chosen = DetectionOptions(output=output, checkpoints=True, end_with_best=True, **options)
    check_run_folder(output, resume=chosen.resume, overwrite=chosen.overwrite)
    accelerator = chosen.accelerator or default_accelerator()
    images, val = _open(data, chosen)
    recipe = recipe_for(len(images), **chosen.overrides)
    batch_size = part_size(recipe.batch_size, accelerator.gradient_accumulation_steps, accelerator.num_processes)
    categories = {name: key for key, name in images.coco.categories.items()}
    chosen.say(f"{len(categories)} classes, {len(images)} training images and {len(val.images)} validation images")
    set_seed(chosen.seed)
    detector = _build(preset, categories, chosen)
    plan = detector.gmconv_plan
    chosen.say(
        f"{preset or plan['head']} on {plan['backbone']}: shorter side {plan['min_size']} pixels, batch norm "
        f"{plan['parity']['batch_norm']}, frozen stages {plan['frozen_stages']}, {described_run(recipe, accelerator)}"
    )
    described = {
        "model": preset or "detector",
        "detector": _json_ready(detector.gmconv_plan),
        "network_options": _json_ready(chosen.model_options),
        "start": _start(detector, {"pretrained": chosen.pretrained, "weights": chosen.weights, **chosen.model_options}),
        "dataset": f"{Path(data).resolve().name}, val",  # the record is published, and has no path of the machine
        "training_set": _digest(images.coco.path),
        "validation_set": _digest(val.path),
    }
    file = Path(output) / PREDICTIONS_NAME

    def keep_predictions(evaluator: CocoEvaluator) -> None:
        if accelerator.is_main_process:
            write_json(file, evaluator.detections())

    task = Task(_loss, lambda: CocoEvaluator(val), "AP", _described, keep_predictions, draw_ap_curves)
    loaders = (
        coco_loader(images, batch_size, shuffle=True, workers=chosen.workers),
        # one image at a time: padding to others of a batch would change its detections with the number of processes
        coco_loader(CocoImages(val), accelerator.num_processes, workers=chosen.workers),
    )
    with naming_unreadable("Repair it, or remove it from the annotations, and start again."):
        for _ in loaders[1]:  # a validation image that cannot be used must not cost an epoch
            pass
    with naming_unreadable("Repair it and go on with resume (--resume), or remove it from the annotations."):
        result = fit(
            detector, loaders, task, recipe, chosen, accelerator=accelerator, run=described, identity=_IDENTITY
        )
    chosen.say(f"best epoch {result.row['epoch']} of {len(result.rows)}: {_described(result.row)}")
    if not result.row["val_AP"]:
        _logger.warning("no object was found in the best epoch. Train longer (--epochs), or with another rate (--lr).")
    if accelerator.is_main_process:
        save(detector.cpu().eval(), output)
        pictures = compared(val, read_results(file, val), count=SHOWN_IMAGES)
        draw_boxes(pictures, Path(output) / PICTURE_NAME, classes=val.classes)
        place = shlex.quote(str(output))
        commands = {"detect": f"gmconv detect {place} IMAGES", "evaluate": f"gmconv detect-eval {place} DATA"}
        chosen.say(closing_lines(Path(output), commands))
    return result


def image_sizes(side: int | None) -> dict[str, int]:
    """Return the arguments of `build` for a shorter side in pixels, the longer one at most 5/3 of it, as on COCO."""
    if side is None:
        return {}
    if side < 1:
        raise ValueError(f"image_size={side}: pass at least 1 pixel (--image-size).")
    return {"min_size": side, "max_size": side * 5 // 3}


def percent(value: float | None) -> str:
    """Return a share in percent, or a dash where there is none."""
    return "-" if value is None else f"{100 * value:.1f} %"


def _open(data: str | Path, options: DetectionOptions) -> tuple[CocoImages, CocoFile]:
    coco = read_split(data, "train", clip=options.clip)
    val = read_split(data, "val", classes=coco.classes, clip=options.clip)
    if bool(val.crowd.all()):
        raise ValueError(f"{val.path} has no boxes to measure the detector by: add boxes to the validation set.")
    warn_of_many_objects(val)
    trained = {coco.root / image.name for image in coco.images if coco.root}
    if both := [image.name for image in val.images if val.root and val.root / image.name in trained]:
        _logger.warning(
            "%d of the %d validation images are training images too (%s): the average precision is too high. Give each "
            "image to one split.",
            len(both),
            len(val.images),
            listed(both),
        )
    reading = {name: options.overrides.get(name, getattr(ONE_X, name)) for name in ("flip", "without_boxes")}
    flip = 0.5 if reading["flip"] else 0.0
    return CocoImages(coco, flip=flip, seed=options.seed, without_boxes=reading["without_boxes"]), val


def _build(preset: str | None, categories: dict[str, int], options: DetectionOptions) -> Any:
    arguments = {**({} if preset is None else preset_arguments(preset)), **image_sizes(options.image_size)}
    arguments |= {"pretrained": options.pretrained, "weights": options.weights, **options.model_options}
    masked = arguments.get("stem") or arguments.get("body")
    if masked or str(arguments.get("backbone")).startswith(MASKED_FAMILIES):
        arguments.setdefault("frozen_stages", -1)
    try:
        detector = build(**arguments, categories=categories)
    except TypeError as error:
        raise ValueError(
            f"model_options={options.model_options}: {error}. Pass arguments of gmconv_zoo.detection.build "
            "(--model-options)."
        ) from error
    norm = detector.gmconv_plan["parity"]["batch_norm"]  # type: ignore[index]
    random = not arguments["pretrained"] and arguments["weights"] is None
    if random and norm not in ("train", "sync"):
        raise ValueError(
            f"batch_norm={norm!r} uses statistics that random weights do not have: leave out pretrained=False "
            "(--no-pretrained), pass weights (--weights), or batch_norm='train' (--model-options batch_norm=train)."
        )
    return detector


def _start(detector: Any, arguments: dict[str, Any]) -> str:
    """Return the weights that a detector was built with: timm's name of the backbone's where it has no others."""
    if arguments["weights"] is not None:
        return lasting_name(arguments["weights"])
    if not arguments["pretrained"]:
        return "random weights"
    config = detector.backbone.body.pretrained_cfg
    return tagged_name(config["architecture"], config.get("tag"))


def _loss(model: nn.Module, batch: tuple[list[Tensor], list[dict[str, Any]]]) -> tuple[Tensor, int]:
    images, targets = batch
    losses: Mapping[str, Tensor] = model(images, targets)
    return sum(losses.values(), start=images[0].new_zeros(())), len(images)


def _described(row: dict[str, Any]) -> str:
    return f"val_AP {percent(row['val_AP'])}, val_AP50 {percent(row['val_AP50'])}" if "val_AP" in row else ""


def _json_ready(values: dict[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint gives back: lists for tuples."""
    return json.loads(json.dumps(values, default=str))


def _digest(path: Path) -> str:
    return f"{path.name}, digest {sha256_of(path)[:16]}"
