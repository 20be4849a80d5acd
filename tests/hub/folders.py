"""What training leaves, for tests of publishing."""

import json
from pathlib import Path

import timm
import torch
from torch import nn

import gmconv_zoo
from gmconv_zoo.weights.specs import Metric

__all__ = ["METRIC", "RECORD", "saved_run", "trained"]

METRIC = Metric(91.25, 99.5, "CIFAR-10 test", "evaluated on one CPU", "2026-01-02")
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


def saved_run(folder: Path, record: dict[str, object] = RECORD, *, label_names: list[str] | None = None) -> Path:
    """A folder with a network and the record of its training."""
    gmconv_zoo.save(trained("gmconv_cifar_resnet20"), folder, label_names=label_names)
    (folder / "results.json").write_text(json.dumps(record))
    return folder
