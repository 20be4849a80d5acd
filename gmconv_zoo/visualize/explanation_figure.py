"""One image explained, as a picture."""

from pathlib import Path
from typing import Any

import numpy as np

from ..engine.extras import needs_extra
from ..saving.targets import check_target
from .explain import Explanation
from .figures import COLOURS, plain_axes, save_figure
from .masks import draw_mask

with needs_extra("train"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from scipy.ndimage import gaussian_filter

__all__ = ["draw_explanation"]

_SMOOTHING = 0.02  # of the picture's side; single pixels of a gradient are noise


def draw_explanation(explanation: Explanation, path: str | Path, *, overwrite: bool = False) -> Path:
    """Draw an image, the evidence for the winning class over it, its classes and the stem's mask.

    Args:
        explanation: from `explain`.
        path: file of the picture. Classes and sigmas are written next to it as CSV, and the evidence in a CSV
            file of its own, with "_evidence" after the name.
        overwrite: whether existing files may be replaced.

    Returns:
        The path.

    Raises:
        ValueError: when the picture exists.
    """
    check_target(path, "path", overwrite=overwrite)
    panels = 3 if explanation.stem is None else 4
    figure = Figure(figsize=(3.3 * panels, 3.6), dpi=110, layout="constrained")
    picture, evidence, classes, *mask = figure.subplots(1, panels)
    _draw_picture(picture, evidence, explanation)
    names, shares = zip(*explanation.classes, strict=True)
    bars = classes.barh(range(len(names)), [100 * share for share in shares], color=COLOURS[0])
    classes.bar_label(
        bars, [f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %" for share in shares], fontsize=8, padding=2
    )
    classes.set_yticks(range(len(names)), [_shortened(name) for name in names], fontsize=8)
    classes.invert_yaxis()
    plain_axes(classes, x="probability in %", y="", title="most probable classes")
    classes.set_xlim(0, 125)
    classes.set_xticks(range(0, 101, 25))
    classes.grid(visible=False)
    if explanation.stem is not None:
        draw_mask(mask[0], explanation.stem.values())
        kind = "for this image" if explanation.stem.dynamic else "the same for every image"
        mask[0].set_title(f"mask of {explanation.stem.name},\n{kind}", fontsize=10)
        mask[0].set_xlabel(_sigma_text(explanation), fontsize=8, loc="left")
        figure.colorbar(mask[0].images[0], ax=mask[0], shrink=0.7, label="mask value")
    rows = [{"quantity": "class", "name": name, "value": share} for name, share in explanation.classes]
    rows += _sigma_rows(explanation)
    return save_figure(figure, path, rows, {"evidence": explanation.evidence})


def _draw_picture(left: Axes, right: Axes, explanation: Explanation) -> None:
    pixels = explanation.picture[:3] if len(explanation.picture) >= 3 else explanation.picture[:1].expand(3, -1, -1)
    left.imshow(pixels.permute(1, 2, 0).numpy())
    left.set_title("as the network sees it", fontsize=10)
    height, width = explanation.evidence.shape
    smooth = gaussian_filter(explanation.evidence.numpy(), _SMOOTHING * max(height, width))
    right.imshow(pixels.mean(0).numpy(), cmap="gray", vmin=0, vmax=1)
    strength = smooth / max(float(smooth.max()), 1e-300)
    right.imshow(strength, cmap="plasma", vmin=0, vmax=1, alpha=0.75 * strength**0.5)
    level = _level(smooth, 0.5)
    if min(height, width) > 1 and smooth.min() < level:
        right.contour(smooth, levels=[level], colors="white", linewidths=1.2)
    right.set_title(f"evidence for {_shortened(explanation.classes[0][0])},\nhalf of it inside the line", fontsize=10)
    for axes in (left, right):
        axes.set_xlabel(f"{width} x {height} px", fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])


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


def _shortened(name: str, length: int = 22) -> str:
    name = name.split(",")[0].replace("$", r"\$")
    return name if len(name) <= length else f"{name[: length - 1]}…"
