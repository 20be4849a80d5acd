"""What a conversion asks for, and what a network has of it: keywords of `convert`, `create_model` and config.json."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from torch import Tensor, nn

from ..layers import DGMConv2d, SGMConv2d
from ..layers.copying import unwrapped
from ..layers.dynamic import SIGMA_DESIGNS
from ..layers.static import check_sigma_init

__all__ = ["CONVERSION_KEYS", "Conversion", "fit_sigma_modules", "has_masks", "present_conversion"]

KINDS = ("dynamic", "static", None)


@dataclass(frozen=True)
class Conversion:
    """Where Gaussian masks go and how they start: the keywords of `convert`; ValueError names one out of range."""

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


def has_masks(model: nn.Module) -> bool:
    """Return whether a network has Gaussian mask convolutions."""
    return bool(_kinds_of_mask(model))


def present_conversion(model: nn.Module) -> Conversion | None:
    """Return the conversion that describes the masks of a network as they are now; None if it was never converted.

    It is the one that the network was made with, without the kinds of mask that it no longer has (timm's
    ``reparameterize_model`` folds static masks in without a record).
    """
    recorded = getattr(unwrapped(model), "gmconv_conversion", None)
    if not isinstance(recorded, Conversion):
        return None
    held = _kinds_of_mask(model)
    return replace(
        recorded,
        stem=recorded.stem if recorded.stem in held else None,
        body=recorded.body if recorded.body in held else None,
    )


def fit_sigma_modules(model: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Give the dynamic layers of a network the hidden widths of a checkpoint, before it is loaded.

    Version 0.1 used 4 hidden units in every dynamic layer, later ones the width of Eq. 7 outside the stem.
    """
    for name, module in model.named_modules():
        rows = state_dict.get(f"{name}.sigma_module.fc_max.weight" if name else "sigma_module.fc_max.weight")
        if isinstance(module, DGMConv2d) and rows is not None and len(rows) != module.sigma_module.fc.in_features:
            module.set_hidden_channels(len(rows))


def _kinds_of_mask(model: nn.Module) -> set[str]:
    # by isinstance: torch gives a parametrized layer a class of its own, which derives from the layer's
    kinds = {"static": SGMConv2d, "dynamic": DGMConv2d}
    return {kind for module in model.modules() for kind, layer in kinds.items() if isinstance(module, layer)}


def _stage_numbers(stages: Any) -> tuple[int, ...]:
    if isinstance(stages, (str, bytes)) or not isinstance(stages, Iterable):
        raise ValueError(f"stages={stages!r}: pass a sequence of stage numbers counted from 1, e.g. (1, 2).")
    numbers = tuple(stages)
    if not numbers or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in numbers):
        raise ValueError(f"stages={stages!r}: pass at least one stage number, each counted from 1, e.g. (1, 2).")
    return tuple(sorted(set(numbers)))
