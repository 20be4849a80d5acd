"""A report about a detector in one HTML file: what it is, its masks, its receptive fields, and what it finds."""

from pathlib import Path
from typing import Any

from ..coco.file import CocoFile
from ..conversion import has_masks
from ..detection.build import categories_of
from ..detection.measure import evaluate_detector, read_for
from ..detection.train import percent
from ..device import usable_device
from ..engine.fit import default_accelerator
from ..files.records import read_results
from ..saving.detectors import main_network
from ..saving.named import open_model
from ..saving.targets import check_target
from ..visualize.curves import draw_ap_curves
from ..visualize.detections import compared, draw_boxes
from ..visualize.images import evenly, network_input
from ..wording import distinct
from .page import Section, write_page
from .sections import FIELD_IMAGES, SIGMA_IMAGES, curve_section, field_section, mask_sections, network_section

__all__ = ["report"]


def report(
    model: str,
    data: str | Path | None = None,
    *,
    output: str | Path = "output/report.html",
    split: str = "val",
    clip: bool = False,
    twin: str | None = None,
    pictures: int = 6,
    workers: int | None = None,
    device: str = "cpu",
    overwrite: bool = False,
    progress: bool = False,
) -> Path:
    """Write what can be seen of a detector into one HTML file, which opens without a connection, and return the file.

    Args:
        model: what `open_model` takes; of the folder of a training, the curves are added.
        data, split, clip: see `read_split`; without data, average precision, pictures and receptive fields are missing.
        twin: name of a detector whose receptive fields are drawn next to those of the model.
        pictures: number of images that are shown with their true and their detected boxes; 0 for none.
        device: where objects are detected, "cpu" or that of accelerate, e.g. "cuda".
        output, workers, overwrite, progress: as in `gmconv_zoo.report`.
    """
    if pictures < 0:
        raise ValueError(f"pictures={pictures}: pass at least 0 (--mistakes).")
    place = usable_device(device)
    folder = Path(model.removeprefix("local-dir:"))
    check_target(output, inputs=[folder, *([] if data is None else [data])], overwrite=overwrite)
    detector, name = open_model(model), folder.resolve().name if folder.exists() else model
    networks = {name: main_network(detector)}
    if twin is not None:
        networks[distinct(twin, networks)] = main_network(open_model(twin))
    about, images = _about(detector, folder), None
    found = [Section("Average precision", ["This needs images with boxes: pass --data."])]
    fields = Section("Effective receptive fields", ["This needs images: pass --data."])
    if data is not None:
        coco = read_for(detector, data, split, clip)
        assert coco.root is not None
        about["Images"] = f"{len(coco.images):,} of {Path(data).resolve().name}, {split}"
        accelerator = default_accelerator(cpu=True) if place.type == "cpu" else default_accelerator()
        evaluator = evaluate_detector(detector, coco, accelerator=accelerator, workers=workers, progress=progress)
        found = _found_sections(coco, evaluator.result(), evaluator.detections(), pictures)
        detector.cpu()
        images = network_input(networks[name], [coco.root / one.name for one in evenly(coco.images, SIGMA_IMAGES)])
        fields = field_section(networks, images[:: -(-len(images) // FIELD_IMAGES)], progress=progress)
    curves = curve_section(
        folder,
        ("epoch", "train_loss", "val_AP50", "val_AP"),
        draw_ap_curves,
        "Training loss and average precision over {} epochs; the highest is {:.3f}.",
    )
    body = network_section(networks[name], about)
    body.title = "What the detector is, and which convolutions of its backbone have a mask"
    sections = [body, *mask_sections(networks[name], images), fields, *found, curves]
    kind = "with" if has_masks(detector) else "without"
    return write_page(output, name, f"A report about a detector {kind} Gaussian masks.", sections)


def _about(detector: Any, folder: Path) -> dict[str, str]:
    """Return what a detector records of itself, and its training of it, in words."""
    plan, record = detector.gmconv_plan, read_results(folder)
    deformed = ", ".join(map(str, plan["dcn_stages"]))
    about = {
        "Detector": f"{plan['head']} on {plan['backbone']}",
        "Deformable convolution": f"in stages {deformed}" if deformed else "none",
        "Image size": f"shorter side {plan['min_size']} pixels, longer side at most {plan['max_size']}",
        "Classes": ", ".join(categories_of(detector)),
        "Parameters of the detector": f"{sum(parameter.numel() for parameter in detector.parameters()):,}",
    }
    if "score" in record:
        about["Recorded precision"] = f"AP {percent(record['score']['AP'])}, epoch {record.get('epoch', 'unknown')}"
    return about


def _found_sections(
    coco: CocoFile, result: dict[str, Any], detections: list[dict[str, Any]], pictures: int
) -> list[Section]:
    precision = Section("Average precision")
    precision.text.append(
        "As COCO measures it: the mean over IoU 0.5 to 0.95, at 0.5, at 0.75, and for objects below 32², up to 96² and "
        "above."
    )
    values = {name: value for name, value in result.items() if name not in ("per_class", "images")}
    precision.facts |= {name: percent(value) for name, value in values.items()}
    precision.tables["AP by class"] = [
        ("class", "AP"),
        *((name, percent(value)) for name, value in result["per_class"].items()),
    ]
    shown = Section("Predictions next to the truth")
    if pictures:
        rows = compared(coco, detections, count=pictures)
        alt = f"{sum(len(row) for row in rows) // 2} images with their true boxes, and with those that were detected."
        shown.draw(lambda path: draw_boxes(rows, path, classes=coco.classes), alt)
    return [precision, *([shown] if pictures else [])]
