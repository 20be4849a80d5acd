"""What a conversion asks for: one set of keywords for `convert`, `timm.create_model` and config.json."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..layers import SIGMA_DESIGNS, check_sigma_init

__all__ = ["CONVERSION_KEYS", "Conversion"]

KINDS = ("dynamic", "static", None)


@dataclass(frozen=True)
class Conversion:
    """Where Gaussian masks go and how they start.

    Attributes:
        stem: "dynamic", "static" or None for the stem convolution.
        body: the same for every other convolution.
        stages: the stages, counted from 1, whose convolutions the body setting reaches; None for all of them.
        sigma_init: initial sigma in kernel taps, above 0, or "kernel" for half of each kernel's width.
        sigma_design: what a dynamic layer predicts (Table IV): "ratio", "pair" or "single".

    Raises:
        ValueError: for a value outside these, naming the field.
    """

    stem: str | None = "dynamic"
    body: str | None = "static"
    stages: tuple[int, ...] | None = None
    sigma_init: float | str = 5.0
    sigma_design: str = "ratio"

    def __post_init__(self) -> None:
        # "none" is None: timm.create_model drops keywords whose value is None.
        for name in ("stem", "body"):
            value = getattr(self, name)
            if value == "none":
                object.__setattr__(self, name, None)
            elif value not in KINDS:
                raise ValueError(f"{name}={value!r}: pass 'dynamic', 'static' or None ('none' in create_model).")
        if self.stages is not None:
            object.__setattr__(self, "stages", _stage_numbers(self.stages))
        object.__setattr__(self, "sigma_init", check_sigma_init(self.sigma_init))
        if self.sigma_design not in SIGMA_DESIGNS:
            raise ValueError(f"sigma_design={self.sigma_design!r}: pass one of {SIGMA_DESIGNS}.")

    @property
    def masks_anything(self) -> bool:
        """Whether the stem or the body is masked; False for a plain network."""
        return self.stem is not None or self.body is not None

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as keywords of `convert` that JSON can hold."""
        return {**asdict(self), "stages": None if self.stages is None else list(self.stages)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Conversion":
        """Make a conversion from keywords of `convert`, the inverse of `to_dict`.

        Raises:
            ValueError: for a key that no conversion has.
        """
        if unknown := sorted(set(values) - set(CONVERSION_KEYS)):
            raise ValueError(f"unknown conversion keys {unknown}: allowed are {CONVERSION_KEYS}.")
        return cls(**values)


CONVERSION_KEYS = tuple(field.name for field in fields(Conversion))


def _stage_numbers(stages: Any) -> tuple[int, ...]:
    if isinstance(stages, (str, bytes)) or not isinstance(stages, Iterable):
        raise ValueError(f"stages={stages!r}: pass a sequence of stage numbers counted from 1, e.g. (1, 2).")
    numbers = tuple(stages)
    if not numbers or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in numbers):
        raise ValueError(f"stages={stages!r}: pass at least one stage number, each counted from 1, e.g. (1, 2).")
    return tuple(sorted(set(numbers)))
