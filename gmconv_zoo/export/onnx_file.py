"""ONNX files: written by torch's exporter, read by ONNX Runtime."""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..extras import needs_extra
from .prepare import outputs_of

with needs_extra("export"):
    import onnx
    import onnxruntime
    import onnxscript  # noqa: F401  torch's exporter needs it

__all__ = ["read_onnx", "write_onnx"]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Run without the exporter's progress lines, notes to its own developers and failed conversions."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@_quiet()
def write_onnx(
    net: nn.Module, images: Tensor, path: Path, shapes: dict[int, Any], described: dict[str, Any], opset: int | None
) -> None:
    """Write a network as one ONNX file with an ``input`` and one or several ``output`` nodes.

    ``images`` are a (B, C, H, W) example, ``shapes`` its dynamic dimensions by axis. The description becomes the file's
    metadata: text as it is, everything else as JSON.
    """
    count = len(outputs_of(net, images))
    program = torch.onnx.export(
        net,
        (images,),
        dynamo=True,
        dynamic_shapes=(shapes,),
        input_names=["input"],
        output_names=["output"] if count == 1 else [f"output{index}" for index in range(count)],
        opset_version=opset,
        verbose=False,
    )
    assert program is not None
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in described.items()}
    program.model.metadata_props.update(texts)
    program.save(str(path))


def read_onnx(path: Path, opset: int | None = None) -> Callable[[Tensor], list[Tensor]]:
    """Return a function that runs an ONNX file on (B, C, H, W) images with ONNX Runtime, on the CPU.

    Raises:
        ValueError: when the file has another operator set, which the exporter writes where it cannot convert.
    """
    sets = onnx.load(path, load_external_data=False).opset_import
    written = next(entry.version for entry in sets if not entry.domain)  # the others belong to extensions
    if opset is not None and written != opset:
        raise ValueError(
            f"opset={opset} (--opset): this network can only be written with operator set {written}; pass {written} "
            "or leave it out."
        )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> list[Tensor]:
        return [torch.from_numpy(output) for output in session.run(None, {"input": images.numpy()})]

    return run
