"""What training leaves, for tests of publishing."""

import timm
import torch
from torch import nn

import gmconv_zoo  # noqa: F401  registers the models

__all__ = ["RECORD", "trained"]

RECORD = {
    "dataset": "CIFAR-10 test",
    "score": {"count": 10_000, "top1": 9125, "top5": 9950, "top1_percent": 91.25, "top5_percent": 99.5},
    "environment": {"gmconv_zoo": "0.1.0", "commit": "abc", "torch": "2.15", "gpu": None, "processor": "a CPU"},
}


def trained(name: str, **kwargs) -> nn.Module:
    """A network whose masks and norms have left their initial values."""
    torch.manual_seed(0)
    model = timm.create_model(name, **kwargs).eval()
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if key.endswith(("sigma", "running_var")):
                value.uniform_(1, 4)
            elif key.endswith("sigma_module.fc.weight"):
                value.normal_(0, 0.1)
    return model
