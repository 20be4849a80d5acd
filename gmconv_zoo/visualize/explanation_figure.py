"""One image explained, as a picture."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..extras import needs_extra
from ..saving.targets import check_target
from ..wording import printable
from .explain import Explanation
from .figures import COLOURS, plain_axes, save_figure
from .masks import draw_mask

with needs_extra("train"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from scipy.ndimage import gaussian_filter

__all__ = ["PANELS", "draw_explanation"]

_SMOOTHING = 0.02  # of the picture's side; single pixels of a gradient are noise


def draw_explanation(
    explanation: Explanation, path: str | Path, *, panels: Sequence[str] | None = None, overwrite: bool = False
) -> Path:
    """Draw an image, the evidence for the winning class over it, its classes and the stem's mask.

    Args:
        explanation: from `explain`.
        path: file of the picture. Classes and sigmas are written next to it as CSV, and the evidence in a CSV
            file of its own, with "_evidence" after the name.
        panels: those of `PANELS` to draw, from left to right; None for all that the network has.
        overwrite: whether existing files may be replaced.

    Raises:
        ValueError: when the picture exists, or for a panel that the explanation does not have.
    """
    check_target(path, "path", overwrite=overwrite)
    available = [name for name in PANELS if name != "mask" or explanation.stem is not None]
    panels = available if panels is None else list(panels)
    if not panels or set(panels) - set(available):
        raise ValueError(f"panels={panels}: pass at least one of {', '.join(available)}.")
    figure = Figure(figsize=(3.3 * len(panels), 3.6), dpi=110, layout="constrained")
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _DRAW[name](axes, explanation)
    rows = [{"quantity": "class", "name": name, "value": share} for name, share in explanation.classes]
    rows += _sigma_rows(explanation)
    return save_figure(figure, path, rows, {"evidence": explanation.evidence})


def _draw_picture(axes: Axes, explanation: Explanation) -> None:
    axes.imshow(_pixels(explanation).permute(1, 2, 0).numpy())
    axes.set_title("as the network sees it", fontsize=10)
    _without_ticks(axes, explanation)


def _draw_evidence(axes: Axes, explanation: Explanation) -> None:
    height, width = explanation.evidence.shape
    smooth = gaussian_filter(explanation.evidence.numpy(), _SMOOTHING * max(height, width))
    axes.imshow(_pixels(explanation).mean(0).numpy(), cmap="gray", vmin=0, vmax=1)
    strength = smooth / max(float(smooth.max()), 1e-300)
    axes.imshow(strength, cmap="plasma", vmin=0, vmax=1, alpha=0.75 * strength**0.5)
    level = _level(smooth, 0.5)
    if min(height, width) > 1 and smooth.min() < level:
        axes.contour(smooth, levels=[level], colors="white", linewidths=1.2)
    axes.set_title(f"evidence for {_short_names(explanation)[0]},\nhalf of it inside the line", fontsize=10)
    _without_ticks(axes, explanation)


def _draw_classes(axes: Axes, explanation: Explanation) -> None:
    names, shares = _short_names(explanation), [share for _, share in explanation.classes]
    bars = axes.barh(range(len(names)), [100 * share for share in shares], color=COLOURS[0])
    labels = [f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %" for share in shares]
    axes.bar_label(bars, labels, fontsize=8, padding=2)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    plain_axes(axes, x="probability in %", y="", title="most probable classes")
    axes.set_xlim(0, 125)
    axes.set_xticks(range(0, 101, 25))
    axes.grid(visible=False)


def _draw_stem(axes: Axes, explanation: Explanation) -> None:
    assert explanation.stem is not None
    draw_mask(axes, explanation.stem.values())
    kind = "for this image" if explanation.stem.dynamic else "the same for every image"
    axes.set_title(f"mask of {explanation.stem.name},\n{kind}", fontsize=10)
    axes.set_xlabel(_sigma_text(explanation), fontsize=8, loc="left")
    axes.figure.colorbar(axes.images[0], ax=axes, shrink=0.7, label="mask value")


# What an explanation can show, each drawn into axes of its own.
_DRAW: dict[str, Callable[[Axes, Explanation], None]] = {
    "picture": _draw_picture,
    "evidence": _draw_evidence,
    "classes": _draw_classes,
    "mask": _draw_stem,
}
PANELS = tuple(_DRAW)


def _pixels(explanation: Explanation) -> Tensor:
    """The (3, H, W) picture; the first channel where there are fewer than three."""
    picture = explanation.picture
    return picture[:3] if len(picture) >= 3 else picture[:1].expand(3, -1, -1)


def _without_ticks(axes: Axes, explanation: Explanation) -> None:
    height, width = explanation.evidence.shape
    axes.set_xlabel(f"{width} x {height} px", fontsize=8)
    axes.set(xticks=[], yticks=[])


def _level(values: np.ndarray[Any, Any], share: float) -> float:
    """The value above which the pixels hold a share of the sum."""
    ordered = np.sort(values.ravel())[::-1]
    return float(ordered[np.searchsorted(ordered.cumsum(), share * ordered.sum())])


def _sigma_text(explanation: Explanation) -> str:
    lines = []
    for number, (sigma, word) in enumerate(zip(explanation.sigma or (), ("horizontal", "vertical"), strict=False)):
        line = rf"$\sigma_{number + 1}$, {word}: {sigma:.2f} taps"
        if explanation.sigma_offset and explanation.mean_sigma:
            offset, mean = explanation.sigma_offset[number], explanation.mean_sigma[number]
            line += f"\n   dataset's mean {mean:.2f}, {offset:+.2f} from it"
        if explanation.sigma_deviation and explanation.sigma_offset and explanation.sigma_deviation[number] > 1e-6:
            line += f" ({explanation.sigma_offset[number] / explanation.sigma_deviation[number]:+.1f} deviations)"
        lines.append(line)
    return "\n".join(lines)


def _sigma_rows(explanation: Explanation) -> list[dict[str, Any]]:
    found = {
        "sigma in taps": explanation.sigma,
        "mean sigma of the dataset in taps": explanation.mean_sigma,
        "offset from the mean in taps": explanation.sigma_offset,
        "standard deviation over the dataset in taps": explanation.sigma_deviation,
    }
    return [
        {"quantity": quantity, "name": word, "value": value}
        for quantity, pair in found.items()
        if pair is not None
        for word, value in zip(("horizontal", "vertical"), pair, strict=True)
    ]


def _short_names(explanation: Explanation) -> list[str]:
    """The names of the classes up to the first comma and of few letters, as far as they still differ."""
    names = [printable(name) for name, _ in explanation.classes]
    choices = ([_cut(name.partition(",")[0]) for name in names], [_cut(name) for name in names], names)
    short = next(choice for choice in choices if len({*choice}) == len({*names}))
    return [name.replace("$", r"\$") for name in short]


def _cut(name: str, length: int = 22) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"
