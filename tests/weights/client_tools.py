"""What client processes of the weight tests share: creating models, also of specs that only a test has."""

import logging
from dataclasses import replace

import timm
from timm.models import get_pretrained_cfg
from torch import nn

import gmconv_zoo  # noqa: F401  registers the models
from gmconv_zoo.weights.specs import SPECS, WeightSpec

__all__ = ["Warnings", "create", "move_urls"]


class Warnings(logging.Handler):
    """Collects what the package warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []
        logging.getLogger("gmconv_zoo").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())

    def take(self) -> list[str]:
        taken, self.messages = self.messages, []
        return taken


def move_urls(base: str, **fields: object) -> None:
    """Let the specs with a url point to another host; fields such as sha256_prefix may change as well."""
    for name, spec in list(SPECS.items()):
        if spec.url:
            SPECS[name] = replace(spec, url=f"{base}/models/{spec.basename}", **fields)


def create(spec: WeightSpec, **kwargs: object) -> nn.Module:
    """A pretrained model of a spec that need not be one of the package's."""
    SPECS[spec.name] = spec
    cfg = get_pretrained_cfg(spec.model).to_dict()
    cfg |= {"tag": spec.tag, "hf_hub_id": spec.hf_hub_id or None, "url": spec.url or None, "architecture": spec.model}
    cfg |= {"num_classes": spec.num_classes, "file": spec.packaged or None}
    return timm.create_model(spec.model, pretrained=True, pretrained_cfg=cfg, **kwargs).eval()
