"""A tiny network that timm knows, for 8 x 8 images."""

from timm.models import register_model
from torch import nn

from tests.engine.nets import tiny_net

TINY = "fixture_tiny_net"


@register_model
def fixture_tiny_net(pretrained=False, num_classes=3, **_) -> nn.Module:
    net = tiny_net(classes=num_classes)
    net.num_classes = num_classes
    net.insert(5, nn.Dropout(0.3))  # draws from the global generator at every step
    net.pretrained_cfg = {
        "input_size": (3, 8, 8), "mean": (0.0,) * 3, "std": (1.0,) * 3, "crop_pct": 1.0, "interpolation": "bilinear",
        "architecture": TINY,
    }  # fmt: skip
    return net
