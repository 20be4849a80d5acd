"""Model cards: a description of a weight, made from its spec and from counts, in the form that the Hub reads."""

import re
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from timm.data import infer_imagenet_subset
from timm.models import get_pretrained_cfg

from .._version import REPOSITORY
from ..images.pixels import MODES
from ..saving.named import is_timm_name
from ..sigmas import DYNAMIC_SPREAD
from ..weights.specs import SPECS, Metric, Stem, WeightSpec
from .profile import Profile, profile_registered

__all__ = ["METHOD", "Kind", "card_of", "eval_results", "fill_card", "render_card", "stem_line"]

# Licences under which weights derived from the source may be passed on, in the Hub's spelling.
ALLOWED_LICENCES = ("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc-by-4.0", "cc0-1.0")
_UNKNOWN_LICENCE = "the licence of the weights is not known"

Kind = Literal["plain", "converted", "untrained", "mask-trained", "fused"]
# What the weights are: the card's title, and the sentence below it.
_KINDS: dict[Kind, tuple[str, str]] = {
    "plain": (
        "standard convolutions, no masks",
        "This is a standard network without Gaussian masks, with which the masked networks are compared. Source of the "
        "weights: {source}.",
    ),
    "converted": (
        "converted weights, masks untrained",
        "These are the weights of {source}. While they are loaded, they are divided by the initial Gaussian masks, so "
        "that the network has the outputs of its source. The masks are untrained, and you can train them.",
    ),
    "untrained": (
        "masks untrained",
        "The masks are untrained: every sigma still has its initial value. Source of the weights: {source}.",
    ),
    "mask-trained": (
        "mask-trained weights",
        "The Gaussian masks were trained together with the kernels. Source of the weights: {source}.",
    ),
    "fused": (
        "fused weights, plain convolutions",
        "The static Gaussian masks were folded into the kernels, so that this is a plain network of timm, which does "
        "not need gmconv_zoo. Source of the weights: {source}.",
    ),
}
METHOD = "GMConv: Modulating Effective Receptive Fields for Convolutional Kernels, https://arxiv.org/abs/2302.04544"
_PAPERS = {
    "resnet": ("Deep Residual Learning for Image Recognition", "https://arxiv.org/abs/1512.03385"),
    "mobilenetv2": ("MobileNetV2: Inverted Residuals and Linear Bottlenecks", "https://arxiv.org/abs/1801.04381"),
    "convnext": ("A ConvNet for the 2020s", "https://arxiv.org/abs/2201.03545"),
    "alexnet": ("One weird trick for parallelizing convolutional neural networks", "https://arxiv.org/abs/1404.5997"),
}
# A metric's data set in words -> its identifier on the Hub
_DATASETS = {"ImageNet-1k": "imagenet-1k", "CIFAR-10": "cifar10", "CIFAR-100": "cifar100"}


def card_of(spec: WeightSpec) -> str:
    """Return the card of one of the zoo's own specs, see `render_card`."""
    kind: Kind = "mask-trained" if spec.conversion == "native" else "converted"
    if spec.model.startswith("stdconv_"):
        kind = "plain"
    counts = profile_registered(spec.model, num_classes=spec.num_classes, input_size=spec.input_size)
    return render_card(spec, kind, counts, spec.name)


def render_card(spec: WeightSpec, kind: Kind, counts: Profile, load_name: str, *, start: str = "") -> str:
    """Return the card of weights that ``timm.create_model`` loads by a name, see `fill_card`."""
    title, sentence = _KINDS[kind]
    known, own = spec.measured or spec.upstream or spec.paper, spec.measured
    values = {"Top-1 accuracy": own.top1, "Top-5 accuracy": own.top5} if own else {}
    return fill_card(
        "card_template.md.jinja",
        spec,
        {
            "library_name": "timm",
            "tags": ["image-classification", "timm", "gmconv"],
            "datasets": [dataset] if (dataset := _dataset_id(known.dataset) if known else None) else None,
            "eval_results": eval_results(values, own.dataset, "image-classification", "accuracy") if own else None,
        },
        start=start,
        title=f"{load_name}: {title}",
        headline=sentence.format(source=spec.source),
        kind=kind,
        load_name=load_name,
        imports="import timm" if kind == "fused" else "import gmconv_zoo  # registers the models\nimport timm",
        details=_details(spec, counts),
        metrics=_metric_rows(spec, kind),
        origins=_origins(spec),
        size=counts.input_size,
        mode=MODES.get(counts.input_size[0], "RGB"),
        names=_names(spec),
        dynamic_stem=spec.model.startswith("gmconv_"),
    )


def fill_card(template: str, spec: WeightSpec, metadata: dict[str, Any], *, start: str, **texts: Any) -> str:
    """Return a model card as Markdown with the Hub's metadata block, ending in one newline.

    Args:
        template: file next to this module.
        spec: where the weights are and what is known about them.
        metadata: further entries of the metadata block; the first tag is the task.
        start: name of the weights that their training started from; empty if it is not known or there are none.
        texts: further values that the template uses.

    Raises:
        ValueError: if the licence does not allow passing on derived weights.
    """
    _check_licence(spec)
    data = ModelCardData(
        license=spec.licence,
        pipeline_tag=metadata["tags"][0],
        base_model=_base_model(spec, start),
        model_name=spec.name if metadata["eval_results"] else None,
        **metadata,
    )
    path = str(Path(__file__).with_name(template))
    card = ModelCard.from_template(data, template_path=path, spec=spec, repository=REPOSITORY, **texts)
    return str(card).rstrip() + "\n"


def _names(spec: WeightSpec) -> str:
    """The Python expression for the classes' names in the order of the outputs."""
    if spec.label_names:
        return 'model.pretrained_cfg["label_names"]'
    if subset := infer_imagenet_subset({"num_classes": spec.num_classes}):
        return f'timm.data.ImageNetInfo("{subset}").label_descriptions()'
    return "[str(number) for number in range(model.num_classes)]  # the names of the classes are not recorded"


def _check_licence(spec: WeightSpec) -> None:
    """Refuse a licence that does not allow passing on derived weights, or that is not known."""
    if spec.licence not in ALLOWED_LICENCES:
        said = f"licence {spec.licence!r} is not one of those allowed" if spec.licence else _UNKNOWN_LICENCE
        allowed = ", ".join(ALLOWED_LICENCES)
        raise ValueError(f"{spec.name}: {said}. Pass that of the weights as licence (--licence), one of {allowed}.")


def _base_model(spec: WeightSpec, start: str) -> str | None:
    """Return the Hub's name of the weights that others were made or trained from; None if they are not there."""
    if spec.conversion == "standard":
        return spec.hf_hub_id or None
    started = SPECS.get(start)
    if started is not None:
        return started.hf_hub_id or None
    if is_timm_name(start):
        hub_id = getattr(get_pretrained_cfg(start), "hf_hub_id", None) or ""
        return hub_id if hub_id.startswith("timm/") else None
    hub_id = start.removeprefix("hf-hub:").partition("@")[0]
    return hub_id if re.fullmatch(r"[\w.-]+/[\w.-]+", hub_id) else None


def eval_results(values: dict[str, float | None], dataset: str, task: str, metric: str) -> list[EvalResult]:
    """Return values by the name of the metric as the Hub lists them, without those that are None."""
    kind = _dataset_id(dataset) or "imagefolder"  # the Hub's word for anybody's own images
    return [
        EvalResult(task, kind, dataset, metric, value, metric_name=name)
        for name, value in values.items()
        if value is not None
    ]


def _dataset_id(dataset: str) -> str | None:
    """The Hub's name for what was measured on, e.g. of "CIFAR-10 test"; None where it has none."""
    first = dataset.split()[0]
    named = re.fullmatch(r"[\w.-]+/[\w.-]+", first)
    return _DATASETS.get(first, first if named else None)


def _details(spec: WeightSpec, counts: Profile) -> dict[str, str]:
    sides = (counts.input_size, spec.test_input_size or spec.input_size)
    size, tested = (f"{height} x {width}" for _, height, width in sides)
    mode = "" if spec.crop_mode == "center" else f" ({spec.crop_mode})"
    images = f"{size}, crop {spec.crop_pct:g}{mode}, {spec.interpolation}"
    if spec.test_input_size:
        images += f"; for testing {tested}, crop {spec.test_crop_pct or spec.crop_pct:g}"
    details = {
        "Parameters": f"{counts.parameters:,} ({counts.parameters / 1e6:.2f} M)",
        "GMACs": f"{counts.macs / 1e9:.3g} at {size}",
        "Activations": f"{counts.activations / 1e6:.3g} M at {size}",
        "Image size": images,
        "Classes": str(spec.num_classes),
        "Method": METHOD,
    }
    for net, (title, address) in _PAPERS.items():
        if net in spec.model:
            details["Architecture"] = f"{title}, {address}"
    details["Original weights"] = spec.source
    if spec.conversion == "standard":
        details["Original weights"] += f", {spec.url or f'https://huggingface.co/{spec.hf_hub_id}'}"
    if spec.recipe:
        details["Recipe"] = spec.recipe
    if spec.stem is not None:
        details["Dynamic stem"] = stem_line(spec.stem)
    return details


def stem_line(stem: Stem) -> str:
    """Say in one line what a dynamic stem does, and whether it is nearly static."""
    live = ", ".join(f"{100 * share:.0f}" for share in stem.live)
    said = (
        f"its mask varies by {stem.mask_spread:.2g} over {stem.count:,} validation images (standard deviation of the "
        f"value that varies most); its hidden units are above 0 on {live} % of them"
    )
    if stem.changed is not None:
        said += f"; with the sigmas of another image, {stem.changed:,} of {stem.count:,} predictions change"
    if stem.mask_spread < DYNAMIC_SPREAD:
        said += f". **This stem is nearly static**: a stem counts as dynamic from {DYNAMIC_SPREAD:g} on"
    return said


def _metric_rows(spec: WeightSpec, kind: Kind) -> list[tuple[str, ...]]:
    no_paper = "does not apply" if kind in ("plain", "fused") else "does not apply: masks untrained"
    if spec.conversion == "native" and kind in ("plain", "mask-trained"):
        no_paper = "none for this recipe"
    columns = ((spec.measured, "not measured"), (spec.upstream, "none published"), (spec.paper, no_paper))

    def cell(metric: Metric | None, name: str, absent: str) -> str:
        value = getattr(metric, name, None)
        return absent if value is None else f"{value:g}"

    return [
        (label, *(cell(metric, name, absent) for metric, absent in columns))
        for label, name in (("top-1 (%)", "top1"), ("top-5 (%)", "top5"))
    ]


def _origins(spec: WeightSpec) -> list[str]:
    named = (("Measured", spec.measured), ("Published for the source", spec.upstream), ("Paper", spec.paper))
    return [
        f"{label}: {metric.dataset}, {metric.source}{metric.date and f', {metric.date}'}."
        for label, metric in named
        if metric
    ]
