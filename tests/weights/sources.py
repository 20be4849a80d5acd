"""Stand-ins for the published weights: the source's own network with random weights, in the file it would be in."""

import io
from functools import cache

import timm
import torch
import torchvision
from safetensors.torch import save
from torch import nn

from gmconv_zoo.weights.specs import SPECS, WeightSpec
from tests.conversion.networks import wake_layer_scales

__all__ = ["architecture_of", "file_of", "plain_network", "randomise", "source_of"]


def architecture_of(spec: WeightSpec) -> str:
    """timm's or torchvision's name of the network a spec's weights come from."""
    if spec.hf_hub_id:
        return spec.hf_hub_id.removeprefix("timm/").split(".")[0]
    return "alexnet" if "alexnet" in spec.url else "mobilenet_v2"


def plain_network(spec: WeightSpec) -> nn.Module:
    """The source's untrained network."""
    name = architecture_of(spec)
    return timm.create_model(name) if spec.hf_hub_id else torchvision.models.get_model(name)


@torch.no_grad()
def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give batch norms random weights and the statistics of random images: fresh ones, some zero, would hide errors.

    A network without them gets larger weights instead, so that its outputs tell images apart.
    """
    generator = torch.Generator().manual_seed(seed)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.uniform_(0.5, 1.5, generator=generator)
        norm.bias.normal_(std=0.1, generator=generator)
        norm.momentum = None  # an exact average
    for module in [] if norms else model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
    wake_layer_scales(model, generator)
    model.train()(torch.randn(4, 3, 64, 64, generator=generator))
    return model.eval()


@cache
def _source(location: str, spec: WeightSpec) -> nn.Module:
    torch.manual_seed(sum(location.encode()))
    return randomise(plain_network(spec), seed=sum(location.encode()))


def source_of(spec: WeightSpec) -> nn.Module:
    """The network with random weights behind a spec, the same one for every spec of the same file."""
    first = next(other for other in SPECS.values() if other.location == spec.location)
    return _source(spec.location, first)


def file_of(spec: WeightSpec) -> bytes:
    """The bytes of the source's weight file."""
    state_dict = source_of(spec).state_dict()
    if spec.hf_hub_id:
        return save(state_dict, metadata={"format": "pt"})
    buffer = io.BytesIO()
    torch.save(state_dict, buffer)
    return buffer.getvalue()
