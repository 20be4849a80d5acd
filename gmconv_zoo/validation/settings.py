"""How models are evaluated, and what comes out for each."""

from dataclasses import dataclass, field
from typing import Any, Literal

from ..classify.evaluate import Score
from ..device import PRECISIONS

__all__ = ["ValidationRow", "ValidationSettings"]


@dataclass(frozen=True, kw_only=True)
class ValidationSettings:
    """Settings of an evaluation. A preprocessing field of None means the model's own value.

    Attributes:
        batch_size: images per forward pass of one process.
        workers: loader processes of each process.
        precision: automatic mixed precision, or float32 for none.
        channels_last: memory format of kernels and images.
        compile: use torch.compile.
        fuse: fold static masks into their kernels first.
        retry: halve the batch size, down to 1, when there is not enough memory.
        skip_bad: leave out images that cannot be read, and count them.
        train_input_size: use the size and crop of the model's training, where it has others for testing.
        image_size: side of the images in pixels.
        crop_pct: share of the side that the central crop keeps.
        crop_mode: how the crop is taken.
        interpolation: how images are resized.
        weights: .safetensors or .pth file with weights of your own, for one model that timm knows.
    """

    batch_size: int = 128
    workers: int = 2
    precision: Literal["float32", "bf16", "fp16"] = "float32"
    channels_last: bool = False
    compile: bool = False
    fuse: bool = False
    retry: bool = False
    skip_bad: bool = False
    train_input_size: bool = False
    image_size: int | None = None
    crop_pct: float | None = None
    crop_mode: Literal["center", "squash", "border"] | None = None
    interpolation: Literal["bilinear", "bicubic", "nearest"] | None = None
    weights: str | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision={self.precision!r}: pass one of {tuple(PRECISIONS)}.")
        for name, least in {"batch_size": 1, "workers": 0, "image_size": 1}.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name}={value}: pass at least {least}.")
        if self.crop_pct is not None and not 0 < self.crop_pct <= 1:
            raise ValueError(f"crop_pct={self.crop_pct}: pass a share of the side in (0, 1].")

    @property
    def overrides(self) -> dict[str, Any]:
        """The preprocessing that is not the model's own."""
        names = ("image_size", "crop_pct", "crop_mode", "interpolation")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


@dataclass(frozen=True)
class ValidationRow:
    """The outcome for one model: the counts, how many images could not be read, and details for the record.

    A model that failed has no score, but an error.
    """

    model: str
    score: Score | None = None
    error: str = ""
    bad: int = 0
    details: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """One flat row."""
        score = self.score.to_dict() if self.score is not None else {}
        return {"model": self.model, **score, "bad": self.bad, **self.details, "error": self.error}
