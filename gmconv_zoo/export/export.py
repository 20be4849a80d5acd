"""Write a network as a file for deployment, and check the file against the network before it is trusted."""

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from ..images.data_config import data_config
from ..saving.detectors import refuse_detector
from .prepare import METADATA_FILE, example_images, metadata_of, outputs_of, prepare

__all__ = ["BATCHES", "FORMATS", "Exported", "export", "read_exported", "read_torchscript"]

# format: what its files end with
FORMATS = {"onnx": ".onnx", "torchscript": ".pt", "exported": ".pt2"}
# batch sizes that a file is checked on; the first is the one that exporters like to freeze
BATCHES = (1, 2, 5)
# largest allowed difference, in units of the largest output (at least 1)
TOLERANCE = 1e-4
# beyond the size exported for, in pixels, when height and width are dynamic
_OTHER_SIZE = (32, 64)


@dataclass(frozen=True)
class Exported:
    """A file, its largest absolute difference from the network over batches of `BATCHES`, and its embedded metadata."""

    path: Path
    difference: float
    described: dict[str, Any]


def export(
    model: nn.Module,
    path: str | Path,
    *,
    format: str = "onnx",
    image_size: tuple[int, int] | None = None,
    dynamic_size: bool = False,
    fuse: bool = True,
    opset: int | None = None,
) -> Exported:
    """Export a network with a dynamic batch, run the file, and compare.

    Args:
        model: any network that takes images (B, C, H, W); it is left as it is.
        path: file to write, with the ending of its format; it is replaced once the new one is checked.
        format: "onnx" (checked with ONNX Runtime), "torchscript" or "exported" (`torch.export`).
        image_size: (height, width) in pixels; None for the network's own.
        dynamic_size: leave height and width open as well. TorchScript always does.
        fuse: fold static masks into their kernels.
        opset: ONNX operator set; None for the exporter's own choice.

    Returns:
        The file, and how closely it agrees.

    Raises:
        ValueError: for a wrong argument, a network that `prepare` refuses, or what the format cannot express.
        RuntimeError: when the file computes something else than the network.
        ImportError: when the extra "export" is not installed and ONNX is asked for.
    """
    if format not in FORMATS:
        raise ValueError(f"format={format!r}: pass one of {tuple(FORMATS)}.")
    if Path(path).suffix != FORMATS[format]:
        raise ValueError(f"path={str(path)!r}: a file of the format {format} ends in {FORMATS[format]} (--output).")
    if opset is not None and format != "onnx":
        raise ValueError(f"opset={opset} belongs to ONNX: leave it out with format={format!r}.")
    refuse_detector(model)
    net, input_size = prepare(model, fuse=fuse), _input_size(model, image_size)
    _check_runs(net, input_size)
    described = metadata_of(net, input_size)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    shapes = dict.fromkeys((0, 2, 3) if dynamic_size else (0,), torch.export.Dim.DYNAMIC)
    write: Any = write_torchscript if format == "torchscript" else write_exported
    read: Any = read_torchscript if format == "torchscript" else read_exported
    if format == "onnx":
        from .onnx_file import read_onnx, write_onnx  # an extra, for this format alone

        write, read = partial(write_onnx, opset=opset), partial(read_onnx, opset=opset)
    with TemporaryDirectory(dir=path.parent) as scratch:
        made = Path(scratch, path.name)
        try:
            write(net, example_images(input_size, 2), made, shapes, described)
        except Exception as error:  # the exporters raise types of their own
            said = " ".join(str(error).split())[:300]
            others = f"Try another of {tuple(name for name in FORMATS if name != format)}."
            remedy = "Try dynamic_size=False: some networks fix the image size." if dynamic_size else others
            raise ValueError(
                f"{described['model']} cannot be exported as {format}: {type(error).__name__}: {said}. {remedy}"
            ) from error
        try:
            run = read(made)
        except ValueError:
            raise
        except Exception as error:  # so do those who read
            raise RuntimeError(f"the exported file cannot be opened: {error}") from error
        difference = _compare(net, run, input_size, open_size=dynamic_size)
        for file in Path(scratch).iterdir():  # weights of more than 2 GB get a file of their own
            file.replace(path.parent / file.name)
    return Exported(path, difference, described)


def write_torchscript(
    net: nn.Module, _images: Tensor, path: Path, _shapes: dict[int, Any], described: dict[str, Any]
) -> None:
    """Script a network; any batch and image size that the network itself takes then works."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(net)
        torch.jit.save(scripted, str(path), _extra_files={METADATA_FILE: json.dumps(described)})


def read_torchscript(path: Path) -> Callable[[Tensor], list[Tensor]]:
    """Return a function from images (B, C, H, W) to the list of outputs of a TorchScript file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return partial(outputs_of, torch.jit.load(str(path), map_location="cpu"))


def write_exported(
    net: nn.Module, images: Tensor, path: Path, shapes: dict[int, Any], described: dict[str, Any]
) -> None:
    """Export a network with `torch.export`, for a (B, C, H, W) example and its dynamic dimensions by axis."""
    with torch.no_grad():
        program = torch.export.export(net, (images,), dynamic_shapes=(shapes,))
    torch.export.save(program, str(path), extra_files={METADATA_FILE: json.dumps(described)})


def read_exported(path: Path) -> Callable[[Tensor], list[Tensor]]:
    """Return a function from images (B, C, H, W) to the list of outputs of an exported program."""
    return partial(outputs_of, torch.export.load(str(path)).module())


def _input_size(model: nn.Module, image_size: tuple[int, int] | None) -> tuple[int, int, int]:
    """Return (channels, height, width) that the network is exported for."""
    if image_size is None and not getattr(model, "pretrained_cfg", None):
        raise ValueError(f"{type(model).__name__} names no input size: pass image_size=(height, width).")
    channels, *size = data_config(model)["input_size"]
    height, width = image_size or size
    if min(height, width) < 1:
        raise ValueError(f"image_size={image_size}: pass (height, width) of at least 1 pixel.")
    return channels, height, width


def _check_runs(net: nn.Module, input_size: tuple[int, int, int]) -> None:
    try:
        outputs = outputs_of(net, example_images(input_size, 1))
    except Exception as error:
        raise ValueError(f"the network does not run on images of {input_size}: {error}") from error
    if not outputs or not all(isinstance(output, Tensor) for output in outputs):
        raise ValueError("the network gives neither a tensor nor a list of tensors: export the part of it that does.")


def _compare(
    net: nn.Module, run: Callable[[Tensor], list[Tensor]], input_size: tuple[int, int, int], *, open_size: bool
) -> float:
    """The largest difference over `BATCHES`, at one more image size when height and width are dynamic."""
    channels, height, width = input_size
    sizes = [input_size, (channels, height + _OTHER_SIZE[0], width + _OTHER_SIZE[1])][: 1 + open_size]
    largest = 0.0
    for size in sizes:
        for batch in BATCHES:
            images = example_images(size, batch, seed=batch)
            try:
                found = run(images)
            except Exception as error:
                raise RuntimeError(f"the exported file fails on images of {tuple(images.shape)}: {error}") from error
            for expected, output in zip(outputs_of(net, images), found, strict=True):
                difference = float((output - expected).abs().max())
                if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):
                    raise RuntimeError(
                        f"the exported file differs from the network by {difference:.2g} on images of "
                        f"{tuple(images.shape)}: it is not usable."
                    )
                largest = max(largest, difference)
    return largest
