"""Stand-ins for the published weights: the source's own network with random weights, in the file it would be in."""

import io
from functools import cache

import timm
import torch
import torchvision
from safetensors.torch import save
from torch import nn

from gmconv_zoo.weights.specs import SPECS, WeightSpec
from tests.conversion.networks import randomised

__all__ = ["architecture_of", "file_of", "plain_network", "source_of"]


def architecture_of(spec: WeightSpec) -> str:
    """timm's or torchvision's name of the network a spec's weights come from."""
    if spec.hf_hub_id:
        return spec.hf_hub_id.removeprefix("timm/").split(".")[0]
    return "alexnet" if "alexnet" in spec.url else "mobilenet_v2"


def plain_network(spec: WeightSpec) -> nn.Module:
    """The source's untrained network."""
    name = architecture_of(spec)
    return timm.create_model(name) if spec.hf_hub_id else torchvision.models.get_model(name)


@cache
def _source(location: str, spec: WeightSpec) -> nn.Module:
    torch.manual_seed(sum(location.encode()))
    return randomised(plain_network(spec), seed=sum(location.encode()))


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
