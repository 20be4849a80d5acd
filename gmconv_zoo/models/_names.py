"""The names of the models: the prefixes of their families, and the plain network of each masked one."""

from timm.models import is_model

__all__ = ["FAMILIES", "MASKED_FAMILIES", "net_of", "plain_name", "tagged_name"]

MASKED_FAMILIES = ("gmconv_", "sgmconv_")
FAMILIES = (*MASKED_FAMILIES, "stdconv_")
# Networks that have another name in timm than in their family
_TIMM_NAMES = {"mobilenetv2": "mobilenetv2_100"}


def net_of(model: str) -> str:
    """Return the network's name without its family and tag, also for timm's own names ("mobilenetv2_100")."""
    name = model.partition(".")[0]
    if name.startswith(FAMILIES):
        return name.partition("_")[2]
    return next((net for net, timm_name in _TIMM_NAMES.items() if timm_name == name), name)


def plain_name(net: str) -> str:
    """Return the registered name of a network with standard convolutions: this package's where timm has none."""
    own = f"stdconv_{net}"
    return own if is_model(own) else _TIMM_NAMES.get(net, net)


def tagged_name(model: str, tag: str | None) -> str:
    """Return timm's name of a model with a tag: "model.tag", or the model's name alone where there is none."""
    return f"{model}.{tag}" if tag else model
