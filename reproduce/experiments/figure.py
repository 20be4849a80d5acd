"""The gain of masks against the size of the kernels, as a picture of the recorded runs."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from gmconv_zoo.engine.extras import needs_extra
from gmconv_zoo.saving.targets import check_target

from .arms import EXPERIMENTS, KERNEL_SIZES
from .records import RunRecord
from .tables import differences

with needs_extra("train"):
    from matplotlib.figure import Figure

__all__ = ["draw_gains"]

# Of Okabe and Ito's colours, which colour-blind readers can tell apart, each with a marker of its own.
_STYLES = {
    "S-GMConv from 5": ("#0072B2", "o"),
    "S-GMConv from half the kernel": ("#E69F00", "s"),
    "S-GMConv from a third of the kernel": ("#009E73", "^"),
    "GMConv from half the kernel": ("#CC79A7", "D"),
}


def draw_gains(records: Sequence[RunRecord], path: str | Path, *, overwrite: bool = False) -> Path:
    """Draw the difference of every masked arm to the standard network against the side of the kernels.

    Args:
        records: from `read_records`.
        path: the PNG file to write.
        overwrite: replace an existing file.

    Returns:
        The file: a panel for every setting (number of images, epochs, precision) with at least two kernel sizes; bars
        are 95 % intervals over paired seeds.

    Raises:
        ValueError: when the file exists and is not to be replaced, or no setting has two kernel sizes yet.
    """
    check_target(path, "--figure", overwrite=overwrite)
    by_size = {size: differences(records, EXPERIMENTS[f"kernel{size}"]) for size in KERNEL_SIZES}
    settings = list(dict.fromkeys(setting for found in by_size.values() for setting in found))
    panels = [setting for setting in settings if sum(setting in found for found in by_size.values()) > 1]
    if not panels:
        raise ValueError("no setting has runs with two kernel sizes yet: train kernel3 to kernel11 first.")
    figure = Figure(figsize=(1 + 5 * len(panels), 4.2), layout="constrained")
    for axes, setting in zip(figure.subplots(1, len(panels), squeeze=False, sharey=True)[0], panels, strict=True):
        axes.axhline(0, color="0.4", linewidth=1)
        for offset, (label, (colour, marker)) in enumerate(_STYLES.items()):
            points = [
                (place + 0.12 * (offset - 1.5), by_size[size][setting][label])
                for place, size in enumerate(KERNEL_SIZES)
                if label in by_size[size].get(setting, {})
            ]
            axes.errorbar(
                [place for place, _ in points],
                [difference.value for _, difference in points],
                [difference.margin or 0 for _, difference in points],
                color=colour,
                marker=marker,
                linestyle="none",
                capsize=3,
                label=label,
            )
        axes.set_xticks(range(len(KERNEL_SIZES)), [f"{size}x{size}" for size in KERNEL_SIZES])
        title = "\n".join(textwrap.wrap(setting, 60))
        axes.set(title=title, xlabel="kernels", ylabel="difference to the standard network (points of top-1)")
        axes.title.set_fontsize(9)
        axes.grid(axis="y", color="0.9")
        axes.legend(fontsize=8)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return Path(path)
