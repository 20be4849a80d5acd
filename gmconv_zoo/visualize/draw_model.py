"""Every figure of a network in one folder: masks, sigmas, kernel sizes, how a mask is made, the receptive field."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ..conversion import has_masks
from ..images.data_config import data_config
from ..layers.copying import unwrapped
from ..saving.detectors import main_network
from ..saving.named import open_model
from ..saving.targets import check_target
from ..wording import distinct
from .images import ImageFile, network_input
from .mask_figures import draw_kernel_sizes, draw_masks, draw_sigmas
from .masks import layer_masks
from .profiles import draw_construction, draw_profiles
from .receptive_field import receptive_field
from .receptive_field_figure import draw_receptive_fields

__all__ = ["draw_model"]

_logger = logging.getLogger(__name__)

MASK_FIGURES = ("masks", "sigmas", "kernel_sizes", "profiles", "construction")
_NOISE_IMAGES = 4


def draw_model(
    model_or_name: nn.Module | str,
    output: str | Path,
    images: Tensor | Sequence[ImageFile] | None = None,
    *,
    twins: Sequence[nn.Module | str] = (),
    layer: str | int | None = None,
    batch_size: int = 8,
    overwrite: bool = False,
    progress: bool = False,
) -> list[Path]:
    """Draw a network's masks, sigmas, effective kernel sizes and receptive field into a folder.

    Args:
        model_or_name: a network, a name that timm knows, a folder that `gmconv_zoo.save` wrote, or a Hub repository.
            For a network without masks, only the receptive field is drawn, and for a detector, only the backbone.
        output: folder, created when missing. Every picture has its numbers next to it as CSV.
        images: image files, decoded images in any mode, or a preprocessed tensor (B, C, H, W). A dynamic layer needs
            them, because its mask depends on the image; without images, the receptive field is measured on noise.
        twins: other networks whose receptive fields are drawn next to it, for instance the one without masks.
        layer: name of the module whose receptive field is drawn, or a stage counted from 1; None for the last stage.
        batch_size: images per forward pass of the receptive field.
        overwrite: whether existing files may be replaced.
        progress: whether to show a progress bar.

    Returns:
        The pictures.

    Raises:
        ValueError: when one of the pictures exists; for a dynamic layer without images, or a layer that the network
            does not have.
    """
    output = Path(output)
    check_target(output, writes=(), overwrite=True)
    networks: dict[str, nn.Module] = {}
    for net in (model_or_name, *twins):
        name, module = (net, open_model(net)) if isinstance(net, str) else (_name(net), net)
        networks[distinct(name, networks)] = main_network(unwrapped(module))
    model = next(iter(networks.values()))
    masked = has_masks(model)
    figures = {name: output / f"{name}.png" for name in (*(MASK_FIGURES if masked else ()), "receptive_field")}
    for figure in figures.values():
        check_target(figure, overwrite=overwrite)
    x = None if images is None else network_input(model, images)
    masks = layer_masks(model, x) if masked else []
    if not masked:
        _logger.warning("%s has no Gaussian masks: only its receptive field is drawn.", next(iter(networks)))
    if x is None:
        shape = data_config(model, use_test_size=True)["input_size"]
        x = network_input(model, torch.randn(_NOISE_IMAGES, *shape, generator=torch.Generator().manual_seed(0)))
        _logger.info("No images are given: the receptive field is measured on %d images of noise.", _NOISE_IMAGES)
    fields = {
        name: receptive_field(net, x, layer=layer, batch_size=batch_size, progress=progress)
        for name, net in networks.items()
    }
    for name, field in fields.items():
        if field.is_cut_off:
            _logger.warning(
                "%s: the image cuts the receptive field of %s off; larger images show all of it.", name, field.layer
            )
    if masked:  # nothing is written before all that is drawn is known
        draw_masks(masks, figures["masks"])
        draw_sigmas(masks, figures["sigmas"])
        draw_kernel_sizes(masks, figures["kernel_sizes"])
        draw_profiles(figures["profiles"])
        draw_construction(figures["construction"])
    draw_receptive_fields(fields, figures["receptive_field"])
    return list(figures.values())


def _name(model: nn.Module) -> str:
    config = getattr(model, "pretrained_cfg", None) or {}
    name = config.get("architecture") or type(model).__name__
    return f"{name}.{tag}" if (tag := config.get("tag")) else str(name)
