"""Log sigmas and masks after every epoch, revive dead hidden units, and warn of dynamic layers that are nearly static.

A dynamic layer whose hidden units are all 0, or whose mask hardly varies over images, gives every image the same
kernel, and neither loss nor accuracy shows it. Every epoch's row therefore has the shares of images on which the units
are above 0, and the mask's spread.
"""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..sigmas import DYNAMIC_SPREAD, are_different, dynamic_masks, revive, sigmas
from .loop import TrainState

__all__ = ["revive_dead_units", "sigma_row", "stem_record", "warn_of_static_layers"]

_logger = logging.getLogger(__name__)


def sigma_row(model: nn.Module, images: Tensor | Sequence[Tensor]) -> dict[str, Any]:
    """Return every sigma of a network, and the statistics of its dynamic masks on images, as one row.

    Returns:
        "sigma/NAME" in kernel taps for a static layer. For a dynamic layer "sigma/NAME.horizontal" and ".vertical"
        (means over images), ".horizontal_spread" and ".vertical_spread" (standard deviations over images),
        ".mask_spread" (see `DynamicMask.spread`) and ".live" (text: for every hidden unit, the share of the images on
        which it is above 0).
    """
    row: dict[str, Any] = {f"sigma/{name}": sigma.item() for name, sigma in sigmas(model).items()}
    for name, found in dynamic_masks(model, images).items():
        means, spreads = found.sigma.mean(0).tolist(), found.sigma.std(0, correction=0).tolist()
        for axis, mean, spread in zip(("horizontal", "vertical"), means, spreads, strict=True):
            row[f"sigma/{name}.{axis}"] = mean
            row[f"sigma/{name}.{axis}_spread"] = spread
        row[f"sigma/{name}.mask_spread"] = found.spread
        row[f"sigma/{name}.live"] = " ".join(f"{share:.3g}" for share in found.live_shares)
    return row


def revive_dead_units(state: TrainState, batch: Any) -> None:
    """Revive the hidden units that are 0 for the whole first batch of an epoch, as a batch callback.

    A batch whose images are all the same revives nothing.
    """
    images, network = batch[0], state.network
    if not are_different(images, network):
        return
    generator = torch.Generator().manual_seed(state.step)
    revived = revive(network, images, optimizer=state.optimizer, generator=generator)
    for name, units in revived.items():
        _logger.info(
            "%s: hidden units %s were 0 for a whole batch and get new weights",
            name or "the network",
            ", ".join(map(str, units)),
        )
        if state.ema is not None:
            mine = network.get_submodule(name).sigma_module.state_dict()  # type: ignore[union-attr]
            state.ema.module.get_submodule(name).sigma_module.load_state_dict(mine)  # type: ignore[union-attr]


def stem_record(row: dict[str, Any], images: int) -> dict[str, Any] | None:
    """Return what a `sigma_row` says of the first dynamic layer, for a run's record; None without such a layer.

    `images` is the number of images that the row was logged on.
    """
    for key, spread in row.items():
        if key.endswith(".mask_spread"):
            live = [float(share) for share in row[key.replace(".mask_spread", ".live")].split()]
            return {"mask_spread": spread, "live": live, "images": images}
    return None


def warn_of_static_layers(model: nn.Module, row: dict[str, Any]) -> None:
    """Warn of the trained dynamic layers whose mask is nearly the same for every image, by their `sigma_row`."""
    for name, module in model.named_modules():
        spread = row.get(f"sigma/{name}.mask_spread")
        if spread is None or not any(p.requires_grad for p in module.sigma_module.parameters()):  # type: ignore[union-attr]
            continue
        if spread < DYNAMIC_SPREAD:
            _logger.warning(
                "the dynamic layer %s is nearly static: its mask varies by %.2g over images (below %g), and its hidden "
                "units are above 0 on the shares %s of them. Train longer, start from a smaller sigma "
                "(sigma_init='kernel'; --model-options sigma_init=kernel), or use a static stem (stem='static'; "
                "--model-options stem=static), which costs less.",
                name or type(model).__name__,
                spread,
                DYNAMIC_SPREAD,
                row[f"sigma/{name}.live"],
            )
