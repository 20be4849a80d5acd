"""The sections of a report about the network itself: what it is, its masks, its sigmas, its receptive fields."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..conversion import conversion_report, has_masks
from ..files.records import SUMMARY_NAME, read_rows
from ..visualize.mask_figures import draw_kernel_sizes, draw_masks, draw_sigmas
from ..visualize.masks import layer_masks
from ..visualize.receptive_field import SHARES, receptive_field, target_layer
from ..visualize.receptive_field_figure import draw_receptive_fields
from .page import Section

__all__ = ["FIELD_IMAGES", "SIGMA_IMAGES", "curve_section", "field_section", "mask_sections", "network_section"]

# Images, evenly spread over the dataset, that the sigmas of dynamic layers and the receptive fields are averaged over
SIGMA_IMAGES, FIELD_IMAGES = 64, 16


def network_section(model: nn.Module, about: Mapping[str, str]) -> Section:
    """Say what a network is, what else is known about it by name, and which of its convolutions have a mask."""
    report = conversion_report(model)
    kinds = Counter(row.target for row in report.converted)
    masks = f"{len(report.converted)} of {len(report)} convolutions have a Gaussian mask"
    masks += f" ({kinds['dynamic']} dynamic, {kinds['static']} static)" if kinds else ""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    section = Section("What the network is", facts={**about, "Parameters": f"{parameters:,}", "Masks": masks})
    section.tables["Every convolution"] = [
        ("layer", "kernel", "stage", "mask"),
        *(
            (
                row.name,
                "x".join(map(str, row.kernel)),
                "stem" if row.is_stem else row.stage or "",
                row.target or f"none: {row.reason}",
            )
            for row in report
        ),
    ]
    return section


def mask_sections(model: nn.Module, images: Tensor | None) -> list[Section]:
    """Draw the masks, sigmas and effective kernel sizes of a network, or say that it has no masks.

    The masks of dynamic layers need (B, C, H, W) images, and are left out without.
    """
    masks, sigmas = Section("Masks by layer"), Section("Sigmas and kernel sizes by depth")
    if not has_masks(model):
        masks.text.append("This network has no Gaussian masks: every weight of its kernels counts fully.")
        return [masks]
    found = layer_masks(model, images, static_only=images is None)
    if len(found) < len(conversion_report(model).converted):
        masks.text.append("The masks of dynamic layers depend on the image and are missing: pass images (--data).")
    if not found:
        return [masks]
    widths = [width for mask in found for width in (mask.horizontal, mask.vertical)]
    masks.text.append(
        "A mask multiplies a kernel: 1 (yellow) keeps a weight, 0 (dark) fades it out. Sigma is the width of the "
        "Gaussian in kernel taps; the smaller it is, the smaller the part of the kernel that is used."
    )
    alt = f"{len(found)} layers, sigmas from {min(widths):.2f} to {max(widths):.2f} taps."
    masks.draw(lambda path: draw_masks(found, path), f"Masks of {alt}")
    if any(mask.dynamic for mask in found):
        images_said = f"the boxes show them for {max(len(mask.samples) for mask in found)} images"
        sigmas.text.append(f"A dynamic layer chooses its sigmas for every image: {images_said}.")
    sigmas.text.append(
        "The effective size of a kernel is the side of the centred square that holds 50, 90 or 99 % of its mask."
    )
    sigmas.draw(lambda path: draw_sigmas(found, path), f"Sigma by depth of {alt}", numbers="Sigmas")
    sizes = "Effective kernel sizes"
    sigmas.draw(lambda path: draw_kernel_sizes(found, path), f"{sizes} by depth of {alt}", numbers=sizes)
    return [masks, sigmas]


def curve_section(
    folder: Path, columns: Sequence[str], draw: Callable[[list[dict[str, float]], Path], Any], alt: str
) -> Section:
    """Draw the curves of a training from its summary.csv; of another folder, a sentence says so.

    The columns are drawn and listed, "epoch" first. The alternative text has "{}" for the number of epochs and then for
    the largest value of the last column.
    """
    section, path = Section("Training curves"), folder / SUMMARY_NAME
    rows: list[dict[str, float]] = []
    if path.is_file():
        rows = [{key: float(row[key]) for key in columns if row.get(key)} for row in read_rows(path)]
    if not any(len(row) == len(columns) for row in rows):
        section.text.append("There are curves where the model is the folder of a training with an evaluated epoch.")
        return section
    largest = max(row.get(columns[-1], 0.0) for row in rows)
    section.draw(lambda path: draw(rows, path), alt.format(len(rows), largest))
    section.tables["Every epoch"] = [
        columns,
        *([f"{row[key]:g}" if key in row else "" for key in columns] for row in rows),
    ]
    return section


def field_section(networks: Mapping[str, nn.Module], images: Tensor, *, progress: bool = False) -> Section:
    """Measure and draw the receptive fields of a network and its twin, at the ends of their first and last stage."""
    section = Section("Effective receptive fields")
    section.text.append(
        "The map shows which pixels of the image the centre of a layer uses: the gradient of its outputs with respect "
        f"to the image, averaged over {len(images)} images. The squares hold 50 % (solid) and 99 % (dashed) of it."
    )
    if len(networks) == 1:
        section.text.append("No other network is drawn next to it: pass the name of one (--twin).")
    for word, layer in (("first", 1), ("last", None)):
        try:
            target_layer(next(iter(networks.values())), layer)
            fields = {
                name: receptive_field(net, images.to(next(net.parameters())), layer=layer, progress=progress)
                for name, net in networks.items()
            }
        except ValueError as error:
            if layer is None:  # without known stages there is a last layer only
                section.text.append(f"The receptive field cannot be measured. {error}")
            continue
        title = f"Receptive field at the end of the {word} stage"
        sides = (
            f"{name}: " + ", ".join(f"{100 * share:.0f} % in {field.side(share)} pixels" for share in SHARES)
            for name, field in fields.items()
        )
        section.draw(
            lambda path, fields=fields: draw_receptive_fields(fields, path),  # type: ignore[misc]
            f"{title}. {'; '.join(sides)}.",
            numbers=title,
        )
        if any(field.is_cut_off for field in fields.values()):
            section.text.append(f"The image cuts off the field of the {word} stage; larger images show more of it.")
    return section
