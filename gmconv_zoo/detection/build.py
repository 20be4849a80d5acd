"""Build a detector: Faster or Cascade R-CNN on a timm backbone, with Gaussian masks and deformable convolution."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from ..conversion import CONVERSION_KEYS, Conversion, convert
from ..conversion.stages import stages_of
from ..layers import DGMConv2d, SGMConv2d
from ..models._build import masks_of
from ..models._names import MASKED_FAMILIES, net_of, plain_name
from ..saving.detectors import is_detector, saved_config
from ..wording import listed
from .backbone import PyramidBackbone, create_body
from .cascade import CascadeHeads
from .checkpoint import classes_of, is_native, load_weights, read_weights
from .dcn import deform_stages
from .heads import BoxHeads, ProposalNetwork
from .parity import BATCH_NORMS, Parity, parity_of

__all__ = ["build", "categories_of", "rebuild"]

_logger = logging.getLogger(__name__)
_COCO_CLASSES = 91  # COCO's category ids go to 90; 0 is the background


@dataclass(frozen=True)
class _Plan:
    """What a detector is made of, apart from its weights and its masks; JSON holds every field.

    Attributes:
        mean, std: of the RGB channels, for images in [0, 1]; empty for the backbone's own.
        parity: all settings, the batch norm's included.
        categories: names of the labels from 1, each with its category's id; empty where they are unknown.
        body_options: what `timm.create_model` takes for a backbone from a folder or repository, masks aside.
        Others are as in `build`; once built, the backbone is the plain network.
    """

    head: str
    backbone: str
    num_classes: int
    dcn_stages: tuple[int, ...]
    dcn_version: int
    frozen_stages: int
    norm_eps: float | None
    parity: Parity
    min_size: int
    max_size: int
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    categories: dict[str, int] = field(default_factory=dict)
    body_options: dict[str, Any] = field(default_factory=dict)


def build(
    head: str = "faster_rcnn",
    *,
    backbone: str = "resnet50",
    num_classes: int | None = None,
    pretrained: bool = True,
    weights: str | Path | Mapping[str, Tensor] | None = None,
    stem: str | None = None,
    body: str | None = None,
    stages: tuple[int, ...] | None = None,
    sigma_init: float | str | None = None,
    sigma_design: str | None = None,
    dcn_stages: tuple[int, ...] = (),
    dcn_version: int = 1,
    batch_norm: str | None = None,
    frozen_stages: int = 1,
    norm_eps: float | None = None,
    parity: str | Parity = "torchvision",
    min_size: int = 800,
    max_size: int = 1333,
    categories: Mapping[str, int] | None = None,
) -> nn.Module:
    """Build a detector that is called as torchvision's are.

    In train mode it takes a list of (3, H, W) images in [0, 1] and a list of targets {"boxes", "labels"} and returns a
    dictionary of losses; in eval mode it takes the images and returns {"boxes", "labels", "scores"} for each.

    Args:
        head: "faster_rcnn" or "cascade_rcnn".
        backbone: a timm network with features at strides 4, 8, 16 and 32; the family's masks are the default of a
            registered GMConv network.
        num_classes: number of classes, background included; by default that of the categories or the weights, or else
            COCO's 91.
        pretrained: whether to load the backbone's weights; not done when ``weights`` are given.
        weights: a whole detector's state dict or a file of one (.pth, .safetensors), of torchvision's layout or this
            package's, or the folder or Hub repository ("hf-hub:ORG/NAME") of a saved detector. Weights of a standard
            detector keep their outputs when masks or deformable convolution are added. For other classes, or the same
            ones in another order, the box predictor starts untrained. What a saved detector records of its images'
            mean and deviation, of the epsilon of its batch norms, and of how its backbone is built, is kept.
        stem: "dynamic" or "static" masks as in `gmconv_zoo.convert`; None leaves the convolution as it is, and "none"
            takes the masks of a registered GMConv network away.
        body: the same for all other convolutions.
        stages: stages with masks, as in `gmconv_zoo.convert`.
        sigma_init: initial sigma of the masks, as in `gmconv_zoo.convert`.
        sigma_design: what the dynamic stem predicts, as in `gmconv_zoo.convert`.
        dcn_stages: stages, counted from 1, whose 3x3 convolutions become deformable.
        dcn_version: 1, or 2 for the modulated deformable convolution.
        batch_norm: "frozen" (constants), "eval" (stored statistics, trainable weight and bias), "sync" or "train"
            (statistics of the batch over all processes, or of the process); None takes the parity's.
        frozen_stages: -1 to train everything, 0 to freeze the stem, n to freeze the stem and the first n stages. Masks
            in frozen stages do not learn.
        norm_eps: replaces the epsilon of all batch norms; torchvision's own COCO weights need 0.
        parity: "torchvision", "mmdet_paper" or a `Parity`.
        min_size: length in pixels to which the shorter side of an image is resized.
        max_size: largest length in pixels of the longer side of a resized image.
        categories: names of the labels from 1, in their order, each with the id of its category in annotation files;
            saved with the detector. None takes those of the saved detector whose weights are loaded.

    Returns:
        The detector in train mode.

    Raises:
        ValueError: for a value outside these, frozen layers without weights, or another sigma design than that of the
            saved detector whose weights are loaded.
        WeightsError: when the weights do not fit.
    """
    _check_values(backbone, dcn_stages, dcn_version, norm_eps, min_size, max_size)
    settings = parity_of(parity, head)
    settings = replace(settings, batch_norm=batch_norm or settings.batch_norm)
    _check_frozen(settings.batch_norm, frozen_stages, loaded=pretrained or weights is not None)
    tensors = None if weights is None else read_weights(weights)
    found = None if tensors is None else classes_of(tensors)
    record = {} if weights is None or isinstance(weights, Mapping) else saved_config(weights).get("gmconv") or {}
    recorded = record.get("plan") or {}
    known = recorded.get("categories") or {}
    named = dict(categories or ({} if num_classes else known))
    classes = num_classes or (len(named) + 1 if named else found or _COCO_CLASSES)
    if classes < 2:
        raise ValueError(f"num_classes={classes}: pass at least 2, the background and one class.")
    if named and len(named) + 1 != classes:
        raise ValueError(f"num_classes={classes} with {len(named)} categories: pass {len(named) + 1}, or leave it out.")
    other_classes = found not in (None, classes)
    if other_classes:
        _logger.warning("the weights are for %d classes: the box predictor for %d starts untrained.", found, classes)
    elif known and named and [*known] != [*named]:
        other_classes = True
        _logger.warning(
            "the weights are for the classes %s, in this order: the box predictor for %s starts untrained.",
            listed([*known]),
            listed([*named]),
        )
    masks = {"stem": stem, "body": body, "stages": stages, "sigma_init": sigma_init, "sigma_design": sigma_design}
    plan = _Plan(
        head,
        backbone,
        classes,
        tuple(dcn_stages),
        dcn_version,
        frozen_stages,
        recorded.get("norm_eps") if norm_eps is None else norm_eps,
        settings,
        min_size,
        max_size,
        mean=tuple(recorded.get("mean") or ()),
        std=tuple(recorded.get("std") or ()),
        categories=named,
        body_options={**_body_options(backbone), **(recorded.get("body_options") or {})},
    )
    asked = {key: value for key, value in masks.items() if value is not None}
    if tensors is None:
        detector = _fresh(plan, asked, pretrained)
    else:
        converted = (record.get("parts") or {}).get("backbone.body") or {}
        detector = _filled(plan, asked, tensors, other_classes, converted)
    _warn_of_frozen_masks(detector, frozen_stages)
    return detector


def rebuild(plan: dict[str, Any]) -> nn.Module:
    """Build the detector, without masks and weights, that a saved configuration describes."""
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in plan.items() if key != "kind"
    }
    known = _Plan(**{**fields, "parity": Parity(**plan["parity"])})
    detector = _assemble(known, create_body(known.backbone, pretrained=False, options=known.body_options))
    _deform(detector, known)
    return detector


def categories_of(detector: nn.Module) -> dict[str, int]:
    """Return the names of a detector's labels from 1, each with its category's id; numbers where they are unknown.

    Raises:
        ValueError: for a network that is not a detector.
    """
    plan: Any = getattr(detector, "gmconv_plan", None)
    if not is_detector(detector):
        raise ValueError(
            f"a {type(detector).__name__} is not a detector: pass one that gmconv detect-train or "
            "gmconv_zoo.detection.build made."
        )
    return plan.get("categories") or {str(label): label for label in range(1, plan["num_classes"])}


def _check_values(
    backbone: Any, dcn_stages: Any, dcn_version: Any, norm_eps: Any, min_size: Any, max_size: Any
) -> None:
    """Check what would fail later, or not at all; options of the command line may have any type."""
    if not isinstance(backbone, str):
        raise ValueError(f"backbone={backbone!r}: pass the name of a timm network, e.g. resnet50.")
    if not isinstance(dcn_stages, (tuple, list)):
        raise ValueError(f"dcn_stages={dcn_stages!r}: pass a sequence of stages, e.g. (2, 3, 4).")
    if dcn_version not in (1, 2):
        raise ValueError(f"dcn_version={dcn_version!r}: pass 1, or 2 for modulated deformable convolution.")
    if norm_eps is not None and not (isinstance(norm_eps, (int, float)) and norm_eps >= 0):
        raise ValueError(f"norm_eps={norm_eps!r}: pass a number of at least 0, or None.")
    if not (isinstance(min_size, int) and isinstance(max_size, int) and 1 <= min_size <= max_size):
        raise ValueError(
            f"min_size={min_size!r}, max_size={max_size!r}: pass at least 1 pixel, and a max_size of at least min_size."
        )


def _check_frozen(batch_norm: str, frozen_stages: int, *, loaded: bool) -> None:
    if batch_norm not in BATCH_NORMS:
        raise ValueError(f"batch_norm={batch_norm!r}: pass one of {BATCH_NORMS}.")
    if loaded:
        return
    # timm starts the last norm of a residual branch at zero: frozen, the branch would never train
    if batch_norm == "frozen":
        raise ValueError(
            "batch_norm='frozen' without weights would freeze norms that were never trained: pass pretrained=True, "
            "weights=... (--weights), or batch_norm='train' ('sync' for several processes; --model-options)."
        )
    if frozen_stages >= 0:
        raise ValueError(
            f"frozen_stages={frozen_stages} without weights would freeze random layers: pass pretrained=True, "
            "weights=... (--weights), or frozen_stages=-1 (--model-options)."
        )


def _body_options(backbone: str) -> dict[str, Any]:
    """What a backbone's folder or repository records of how timm builds it, for building it from its architecture."""
    options = saved_config(backbone).get("model_args") or {}
    return {key: value for key, value in options.items() if key not in CONVERSION_KEYS}


def _plain(backbone: str) -> str:
    return plain_name(net_of(backbone)) if backbone.startswith(MASKED_FAMILIES) else backbone


def _filled(
    plan: _Plan, asked: dict[str, Any], tensors: dict[str, Tensor], other_classes: bool, recorded: dict[str, Any]
) -> nn.Module:
    """A detector with the weights of a whole one: standard ones are loaded before anything is replaced.

    What is recorded of the conversion of a detector with masks has to agree in what the tensors do not show.
    """
    conversion = _conversion(plan.backbone, asked)
    design = recorded.get("sigma_design", conversion.sigma_design)
    if "dynamic" in (conversion.stem, conversion.body) and conversion.sigma_design != design:
        raise ValueError(
            f"sigma_design={conversion.sigma_design!r}: these weights were trained with {design!r}; pass "
            f"sigma_design={design!r} (--model-options)."
        )
    detector = _assemble(plan, create_body(_plain(plan.backbone), pretrained=False, options=plan.body_options))
    native = is_native(tensors)
    if not native:
        load_weights(detector, tensors, other_classes=other_classes)
    _mask(detector, conversion, preserve=not native)
    _deform(detector, plan)
    if native:
        load_weights(detector, tensors, other_classes=other_classes)
    return detector


def _fresh(plan: _Plan, asked: dict[str, Any], pretrained: bool) -> nn.Module:
    """A detector with at most its backbone's weights; those of a registered GMConv network may carry their sigmas."""
    if pretrained and plan.backbone.startswith(MASKED_FAMILIES):
        detector = _assemble(plan, create_body(plan.backbone, pretrained=True, options=asked))
    else:
        detector = _assemble(plan, create_body(_plain(plan.backbone), pretrained=pretrained))
        _mask(detector, _conversion(plan.backbone, asked), preserve=pretrained)
    _deform(detector, plan)
    return detector


def _assemble(plan: _Plan, body: Any) -> nn.Module:
    cfg, parity = body.pretrained_cfg, plan.parity
    plan = replace(
        plan,
        backbone=_plain(cfg["architecture"]),
        mean=plan.mean or tuple(cfg["mean"]),
        std=plan.std or tuple(cfg["std"]),
    )
    cfg.update(mean=plan.mean, std=plan.std)  # whoever looks at the body alone prepares its images in the same way
    backbone = PyramidBackbone(
        body, batch_norm=parity.batch_norm, frozen_stages=plan.frozen_stages, norm_eps=plan.norm_eps
    )
    heads = BoxHeads(plan.num_classes, parity) if plan.head == "faster_rcnn" else CascadeHeads(plan.num_classes, parity)
    transform = GeneralizedRCNNTransform(plan.min_size, plan.max_size, list(plan.mean), list(plan.std))
    detector = GeneralizedRCNN(backbone, ProposalNetwork(parity), heads, transform)
    detector.gmconv_plan = {"kind": "detector", **asdict(plan)}  # type: ignore[assignment]  # gmconv_zoo.save writes it
    return detector


def _conversion(backbone: str, asked: dict[str, Any]) -> Conversion:
    """What is asked for, over the masks of a registered family; a plain network has none by itself."""
    family = masks_of(backbone) if backbone.startswith(MASKED_FAMILIES) else None
    conversion = replace(family or Conversion(stem=None, body=None), **asked)
    if asked.keys() - {"stem", "body"} and not conversion.masks_anything:
        extra = ", ".join(sorted(asked.keys() - {"stem", "body"}))
        raise ValueError(f"{extra}: without stem or body there is no mask; pass e.g. stem='dynamic', body='static'.")
    return conversion


def _mask(detector: Any, conversion: Conversion, *, preserve: bool) -> None:
    if conversion.masks_anything:
        convert(detector.backbone.body, **conversion.to_dict(), preserve=preserve, inplace=True)


def _deform(detector: Any, plan: _Plan) -> None:
    if plan.dcn_stages:
        body = detector.backbone.body
        deform_stages(body, stages_of(body), plan.dcn_stages, version=plan.dcn_version)


def _warn_of_frozen_masks(detector: Any, frozen_stages: int) -> None:
    masks = [layer for layer in detector.backbone.body.modules() if isinstance(layer, (SGMConv2d, DGMConv2d))]
    if masks and not any(layer.weight.requires_grad for layer in masks):
        _logger.warning(
            "frozen_stages=%d freezes every Gaussian mask of this detector: pass a smaller number, e.g. -1, to train.",
            frozen_stages,
        )
