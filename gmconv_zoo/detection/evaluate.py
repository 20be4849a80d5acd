"""Average precision of a detector on a COCO annotation file, computed by pycocotools."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from torch import Tensor
from torchvision.ops import box_convert

from ..coco.file import CocoFile
from ..extras import needs_extra
from ..wording import listed
from .heads import MOST_DETECTIONS

with needs_extra("detection"):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

__all__ = ["CocoEvaluator", "average_precision", "warn_of_many_objects"]

_logger = logging.getLogger(__name__)

# The first entries of pycocotools' summary
_METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")


class CocoEvaluator:
    """Collect the detections in all images of an annotation file once, and measure them."""

    def __init__(self, coco: CocoFile) -> None:
        self.coco = coco
        self._categories = {label: key for key, label in coco.labels.items()}
        self._rows: dict[int, list[dict[str, Any]]] = {}

    def rows(
        self, outputs: Sequence[Mapping[str, Tensor]], targets: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return the "image_id" and the "detections" of each image in COCO's result format, which processes exchange.

        An output has "boxes" (N, 4) x1, y1, x2, y2 in pixels, "labels" (N,) from 1 and "scores" (N,), a target its
        "image_id". Detections of classes that the file has no category for are left out: they cannot match anything.

        Raises:
            ValueError: for a label beyond the classes, or boxes or scores that are not finite.
        """
        return [self._row(output, int(target["image_id"])) for output, target in zip(outputs, targets, strict=True)]

    def update(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add the rows of all processes; of images that occur twice, the first row is used."""
        for row in rows:
            self._rows.setdefault(row["image_id"], row["detections"])

    def result(self) -> dict[str, Any]:
        """Measure the detections as COCO does, with at most 100 per image and class.

        Returns:
            "AP" (mean over the IoU thresholds 0.5 to 0.95), "AP50", "AP75", "APs", "APm" and "APl" (objects below 32²,
            up to 96², and larger), "per_class" (the AP by name), all in [0, 1] or None where there is no such object,
            and "images", their number.

        Raises:
            ValueError: when images of the file were not evaluated.
        """
        return average_precision(self.coco, self.detections())

    def detections(self) -> list[dict[str, Any]]:
        """Return all detections in the format of a COCO result file; ValueError when images were not evaluated."""
        if missing := [str(image.id) for image in self.coco.images if image.id not in self._rows]:
            raise ValueError(
                f"{len(missing)} of the {len(self.coco.images)} images of {self.coco.path} were not evaluated (image "
                f"ids {listed(missing)}): evaluate every image."
            )
        return [detection for image in self.coco.images for detection in self._rows[image.id]]

    def _row(self, output: Mapping[str, Tensor], image_id: int) -> dict[str, Any]:
        boxes, scores = output["boxes"].detach().double().cpu(), output["scores"].detach().double().cpu()
        if not (boxes.isfinite().all() and scores.isfinite().all()):
            raise ValueError(
                f"the detector's boxes or scores of image {image_id} are not finite: check its weights and precision."
            )
        labels, count = output["labels"].tolist(), len(self.coco.classes)
        if wrong := sorted({label for label in labels if not 1 <= label <= count}):
            raise ValueError(
                f"the detector gave the labels {listed([*map(str, wrong)])}, but there are {count} classes, with the "
                "labels from 1: build it with num_classes, background included, or read the file with its classes."
            )
        sized = box_convert(boxes, "xyxy", "xywh").tolist()
        detections = [
            {"image_id": image_id, "category_id": self._categories[label], "bbox": bbox, "score": score}
            for label, bbox, score in zip(labels, sized, scores.tolist(), strict=True)
            if label in self._categories
        ]
        return {"image_id": image_id, "detections": detections}


def warn_of_many_objects(coco: CocoFile) -> None:
    """Log how many images have more objects than a detector finds in one image."""
    _, counts = coco.image_ids[~coco.crowd].unique(return_counts=True)
    if many := int((counts > MOST_DETECTIONS).sum()):
        _logger.warning(
            "%d of the %d images of %s have more than %d objects, but a detector finds at most so many in an image, "
            "which limits the average precision. Divide these images into smaller ones.",
            many,
            len(coco.images),
            coco.path,
            MOST_DETECTIONS,
        )


def average_precision(coco: CocoFile, detections: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Measure detections in COCO's result format, as `CocoEvaluator.result` says; images may have none."""
    names = ("image_id", "category_id", "bbox", "area", "iscrowd")
    columns = (coco.image_ids, coco.category_ids, coco.bboxes, coco.areas, coco.crowd)
    objects = [dict(zip(names, row, strict=True)) for row in zip(*(c.tolist() for c in columns), strict=True)]
    found = [{**entry, "area": entry["bbox"][2] * entry["bbox"][3], "iscrowd": 0} for entry in detections]
    with redirect_stdout(StringIO()):
        run = COCOeval(_indexed(coco, objects), _indexed(coco, found), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    overall = {name: _share(value) for name, value in zip(_METRICS, run.stats, strict=False)}
    precision = run.eval["precision"][:, :, :, 0, -1]  # thresholds, recalls and classes; all areas, 100 detections
    per_class = {
        coco.categories[int(key)]: _share(precision[:, :, place].mean()) for place, key in enumerate(run.params.catIds)
    }
    return {**overall, "per_class": per_class, "images": len(coco.images)}


def _indexed(coco: CocoFile, annotations: Sequence[Mapping[str, Any]]) -> COCO:
    """Return pycocotools' index of annotations. It takes the id 0 for "not matched", so they are numbered from 1."""
    index = COCO()
    index.dataset = {
        "images": [{"id": image.id} for image in coco.images],
        "categories": [{"id": key} for key in coco.categories],
        "annotations": [{**entry, "id": number} for number, entry in enumerate(annotations, 1)],
    }
    index.createIndex()
    return index


def _share(value: float) -> float | None:
    """Return a metric; pycocotools gives -1 where there is nothing to detect."""
    return None if value < 0 else float(value)
