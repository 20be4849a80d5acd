"""Static int8 quantisation after training, by torchao's PT2E flow."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..extras import needs_extra
from .prepare import prepare

with needs_extra("quant"):
    from torchao.quantization.pt2e import move_exported_model_to_eval
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
        X86InductorQuantizer,
        get_default_x86_inductor_quantization_config,
    )

__all__ = ["quantize_int8"]


def quantize_int8(model: nn.Module, batches: Iterable[Tensor]) -> nn.Module:
    """Return a network with int8 weights (per output channel) and activations, its static masks folded in first.

    A fused network therefore loses what the plain network loses. The kernel of a dynamic stem is computed for each
    image and stays in floating point.

    Args:
        model: any network; it is left as it is.
        batches: prepared images, each (B, C, H, W) with B of at least 2, a few hundred images in all.

    Returns:
        A graph on the CPU for any batch, which computes in floating point what int8 gives; `torch.compile` (inductor)
        makes int8 kernels of it.

    Raises:
        ValueError: without batches, or for a network that `prepare` refuses or `torch.export` cannot capture.
    """
    net = prepare(model)
    batches = list(batches)
    if not batches or batches[0].ndim != 4 or batches[0].shape[0] < 2:
        raise ValueError("batches: pass at least one (B, C, H, W) batch of at least 2 prepared images.")
    try:
        graph = torch.export.export(net, (batches[0],), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)).module()
    except Exception as error:  # the exporter raises types of its own
        raise ValueError(f"{type(model).__name__} cannot be captured by torch.export: {error}") from error
    quantizer = X86InductorQuantizer().set_global(get_default_x86_inductor_quantization_config())
    prepared = prepare_pt2e(graph, quantizer)
    with torch.no_grad():
        for batch in batches:
            prepared(batch)
    quantized: nn.Module = convert_pt2e(prepared)
    move_exported_model_to_eval(quantized)
    return quantized
