"""Every weight of the zoo: where it is, what it is, how it is checked and how good it is. Standard library only.

To add a weight, add one `WeightSpec` here: timm's configuration, the model card and the tests are made from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["EVALUATION", "SPECS", "Metric", "Stem", "WeightSpec", "get_spec", "specs_of"]

# Fields of a spec that say how its images are prepared, as timm names them
EVALUATION = (
    "input_size",
    "test_input_size",
    "crop_pct",
    "test_crop_pct",
    "crop_mode",
    "interpolation",
    "mean",
    "std",
)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Metric:
    """Top-1 and top-5 accuracy in percent, and where the numbers come from.

    Attributes:
        top1, top5: accuracy in percent; top5 is None where it was not recorded.
        dataset: dataset and split, e.g. "ImageNet-1k validation".
        origin: table that the numbers are from, or the command and machine that measured them.
        date: ISO date of the measurement; empty for a published number.
        image_size: side of the images in pixels, where the origin lists several.
    """

    top1: float
    top5: float | None
    dataset: str
    origin: str
    date: str = ""
    image_size: int | None = None

    @property
    def source(self) -> str:
        """Origin and image size in words."""
        return f"{self.origin}, at {self.image_size}" if self.image_size else self.origin


@dataclass(frozen=True)
class Stem:
    """The behaviour of a dynamic stem, measured on validation images.

    Attributes:
        mask_spread: standard deviation over images of the mask value that varies most, in [0, 0.5].
        live: for each hidden unit, the share of the images on which it is above 0.
        count: number of images.
        changed: number of predictions that change when every image gets the sigmas of another one; None if not counted.
    """

    mask_spread: float
    live: tuple[float, ...]
    count: int
    changed: int | None = None


@dataclass(frozen=True)
class WeightSpec:
    """One downloadable weight of one model.

    Attributes:
        model: timm entrypoint, e.g. "gmconv_resnet18".
        tag: timm tag, e.g. "from_tv_in1k".
        conversion: "standard" for weights that are converted on loading, "native" for weights that carry sigmas.
        licence: SPDX identifier in the Hub's spelling.
        source: what the weights are derived from, e.g. "resnet18.tv_in1k of timm".
        hf_hub_id, revision, filename: a file on the Hugging Face Hub; a revision is a full commit hash.
        url: a file on another server. Exactly one of hf_hub_id, url and packaged is set.
        packaged: a file inside this package, next to this module.
        sha256: sha256 of the file's content; empty if nobody has published it.
        sha256_prefix: its first digits, which torchvision writes into its file names.
        num_classes, input_size, test_input_size, crop_pct, test_crop_pct, crop_mode, interpolation, mean, std:
            evaluation settings, sizes as (channels, height, width) in pixels, the rest as timm names them.
        upstream: accuracy that the source publishes for its weights; a converted network computes the same function.
        paper: accuracy that the GMConv paper reports for a network trained this way; never set for converted weights.
        measured: accuracy that this project measured with these weights.
        stem: behaviour of the dynamic stem of these weights; None for a static stem or if it was not measured.
        recipe: how the masks were trained, in words; empty for converted weights.
        label_names: names of the outputs, if they are not ImageNet's.
        notes: further sentences for the model card.
    """

    model: str
    tag: str
    conversion: Literal["standard", "native"]
    licence: str
    source: str
    hf_hub_id: str = ""
    revision: str = ""
    filename: str = "model.safetensors"
    url: str = ""
    packaged: str = ""
    sha256: str = ""
    sha256_prefix: str = ""
    num_classes: int = 1000
    input_size: tuple[int, int, int] = (3, 224, 224)
    test_input_size: tuple[int, int, int] | None = None
    crop_pct: float = 0.875
    test_crop_pct: float | None = None
    crop_mode: str = "center"
    interpolation: str = "bilinear"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    upstream: Metric | None = None
    paper: Metric | None = None
    measured: Metric | None = None
    stem: Stem | None = None
    recipe: str = ""
    label_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if sum(map(bool, (self.hf_hub_id, self.url, self.packaged))) != 1:
            raise ValueError(f"{self.name}: set exactly one of hf_hub_id, url and packaged.")
        if self.conversion == "standard" and self.paper is not None:
            raise ValueError(f"{self.name}: the paper's number belongs to trained masks, not to converted weights.")

    @property
    def name(self) -> str:
        """The name by which timm knows it: model.tag."""
        return f"{self.model}.{self.tag}"

    @property
    def location(self) -> str:
        """Where it is, in readable form: a file on the Hub, an address, or a file of this package."""
        revision = f"@{self.revision}" if self.revision else ""
        return f"{self.hf_hub_id}{revision}/{self.filename}" if self.hf_hub_id else self.url or self.packaged

    @property
    def basename(self) -> str:
        """The name of its file, without a folder."""
        return self.location.rsplit("/", 1)[-1]


_Fields = dict[str, Any]


def _timm(name: str, licence: str, top1: float, top5: float, at: int | None = None, **fields: Any) -> _Fields:
    """Return the fields of weights of timm's on the Hub, whose accuracy its results table lists at an image size."""
    metric = Metric(top1, top5, "ImageNet-1k validation", "timm's results table", image_size=at)
    return {"hf_hub_id": f"timm/{name}", "licence": licence, "upstream": metric, **fields}


def _torchvision(file: str, top1: float, top5: float) -> _Fields:
    """Return the fields of torchvision's weights, whose files are named after their hash."""
    metric = Metric(top1, top5, "ImageNet-1k validation", "torchvision's weights documentation")
    url, prefix = f"https://download.pytorch.org/models/{file}", file.rpartition("-")[2].removesuffix(".pth")
    return {"url": url, "sha256_prefix": prefix, "licence": "bsd-3-clause", "upstream": metric}


_BICUBIC: _Fields = {"interpolation": "bicubic"}
# timm tests its "A1" weights at 288 pixels with crop 1.0; the accuracy listed here is the one at 224 pixels.
_A1: _Fields = {"at": 224, "crop_pct": 0.95, "test_input_size": (3, 288, 288), "test_crop_pct": 1.0, **_BICUBIC}
_AT_288: _Fields = {"at": 288, "test_input_size": (3, 288, 288), **_BICUBIC}
_TV2: _Fields = {"at": 224, "input_size": (3, 176, 176), "test_input_size": (3, 224, 224), "test_crop_pct": 0.965}
_AT_384: _Fields = {"input_size": (3, 384, 384), "crop_pct": 1.0, "crop_mode": "squash", **_BICUBIC}

# Fields of the sources by network and tag. The first is the default tag, the one comparable with the paper's baseline.
_SOURCES: dict[str, dict[str, _Fields]] = {
    "resnet18": {
        "tv_in1k": _timm("resnet18.tv_in1k", "bsd-3-clause", 69.752, 89.082),
        "a1_in1k": _timm("resnet18.a1_in1k", "apache-2.0", 71.504, 90.086, **_A1),
    },
    "resnet50": {
        "tv_in1k": _timm("resnet50.tv_in1k", "bsd-3-clause", 76.156, 92.866),
        "a1_in1k": _timm("resnet50.a1_in1k", "apache-2.0", 80.382, 94.598, **_A1),
        "tv2_in1k": _timm("resnet50.tv2_in1k", "bsd-3-clause", 80.846, 95.430, **_TV2),
    },
    "mobilenetv2": {
        "tv_in1k": _torchvision("mobilenet_v2-b0353104.pth", 71.878, 90.286),
        "ra_in1k": _timm("mobilenetv2_100.ra_in1k", "apache-2.0", 72.910, 91.000, **_BICUBIC),
    },
    "convnext_atto": {
        "d2_in1k": _timm("convnext_atto.d2_in1k", "apache-2.0", 77.008, 93.702, test_crop_pct=0.95, **_AT_288),
    },
    "convnext_tiny": {
        "in12k_ft_in1k": _timm(
            "convnext_tiny.in12k_ft_in1k", "apache-2.0", 84.450, 97.340, crop_pct=0.95, test_crop_pct=1.0, **_AT_288
        ),
        "in12k_ft_in1k_384": _timm("convnext_tiny.in12k_ft_in1k_384", "apache-2.0", 85.122, 97.606, **_AT_384),
    },
    "alexnet": {"tv_in1k": _torchvision("alexnet-owt-7be5be79.pth", 56.522, 79.066)},
}


def _converted(net: str, tag: str, fields: _Fields) -> Iterator[WeightSpec]:
    origin = fields.get("hf_hub_id", "").removeprefix("timm/") or fields["url"].rsplit("/", 1)[-1]
    source = f"{origin} of {'timm' if fields.get('hf_hub_id') else 'torchvision'}"
    for family in ("gmconv", "sgmconv"):
        yield WeightSpec(f"{family}_{net}", f"from_{tag}", "standard", source=source, **fields)
    if net == "alexnet":  # timm has no AlexNet, so the plain network is registered too
        yield WeightSpec(f"stdconv_{net}", tag, "standard", source=source, **fields)


_CIFAR10: _Fields = {
    "conversion": "native",
    "licence": "apache-2.0",
    "source": "trained from random weights",
    "num_classes": 10,
    "input_size": (3, 32, 32),
    "crop_pct": 1.0,
    "mean": (0.4914, 0.4822, 0.4465),
    "std": (0.247, 0.2435, 0.2616),
    "label_names": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
}
_EPOCHS = "the paper's recipe shortened to 30 of its 160 epochs"
_ORIGIN = "results/cifar.csv, commit a10614f, torch 2.14.1, AMD EPYC"
_GM_ORIGIN = "gmconv validate in float32, trained at commit 9b60146, torch 2.14.1, Intel Xeon"

# Weights that this project trained; `python -m reproduce.package_weights` and `gmconv publish` print such rows in full.
_TRAINED: tuple[WeightSpec, ...] = (
    WeightSpec(
        "gmconv_cifar_resnet20",
        "gm_cifar10",
        packaged="gmconv_cifar_resnet20.gm_cifar10.safetensors",
        sha256="05667d342aeb37fd91b63432100465aa27666e590a29db6fd96180f2e1bbb1ab",
        measured=Metric(88.48, 99.51, "CIFAR-10 test", _GM_ORIGIN, "2026-11-26"),
        stem=Stem(0.0861, (0.9998, 0.9976, 0.9678, 0.9745), 10_000, 151),
        recipe=f"{_EPOCHS}, bfloat16, clip_sigma 0.02, seed 0, last epoch",
        **_CIFAR10,
    ),
    WeightSpec(
        "sgmconv_cifar_resnet20",
        "gm_cifar10",
        packaged="sgmconv_cifar_resnet20.gm_cifar10.safetensors",
        sha256="501daf7a6941ca84b63633bf7b79ad6e063ae24d0de5b8fcbf1b505334c00604",
        measured=Metric(88.61, 99.6, "CIFAR-10 test", _ORIGIN, "2026-11-25"),
        recipe=f"{_EPOCHS}, seed 0, last epoch",
        **_CIFAR10,
    ),
    WeightSpec(
        "stdconv_cifar_resnet20",
        "cifar10",
        packaged="stdconv_cifar_resnet20.cifar10.safetensors",
        sha256="5f66fba52064a0281d2126c418843057305cfe861a2eaa4c9be5a43154e9f0e5",
        measured=Metric(88.27, 99.65, "CIFAR-10 test", _ORIGIN, "2026-11-25"),
        recipe=f"{_EPOCHS}, seed 0, last epoch",
        **_CIFAR10,
    ),
)

SPECS: dict[str, WeightSpec] = {
    spec.name: spec
    for net, sources in _SOURCES.items()
    for tag, fields in sources.items()
    for spec in _converted(net, tag, fields)
} | {spec.name: spec for spec in _TRAINED}


def get_spec(name: str) -> WeightSpec:
    """Return the spec of a "model.tag" name, or that of a model's default tag for a name without a tag.

    Raises:
        ValueError: for a name without weights; the message lists all that exist.
    """
    spec = SPECS.get(name) or next(iter(specs_of(name)), None)
    if spec is None:
        raise ValueError(f"no weights are known for {name!r}; there are: {', '.join(SPECS)}.")
    return spec


def specs_of(model: str) -> list[WeightSpec]:
    """Return all specs of a model, its default tag first."""
    return [spec for spec in SPECS.values() if spec.model == model]
