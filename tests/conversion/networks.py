"""Plain networks with real BatchNorm statistics, to be converted."""

import timm
import torch
from torch import nn


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random running statistics and affine weights, so that no branch is silent and outputs can be compared."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if getattr(module, "running_mean", None) is not None:
                module.running_mean.copy_(torch.randn(module.running_mean.shape, generator=generator) * 0.1)
                module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 0.5)
                if module.weight is not None:
                    module.weight.copy_(torch.rand(module.weight.shape, generator=generator) * 0.5 + 0.5)
    return model.eval()


def plain(name: str, **kwargs) -> nn.Module:
    """A randomised timm network."""
    torch.manual_seed(0)
    return randomised(timm.create_model(name, **kwargs))


class OwnNet(nn.Module):
    """A user's own network: no timm, no stages, a shared layer, a shared weight and what cannot be masked."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 5, padding=2)
        self.twice = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.again = self.twice
        self.tied_a = nn.Conv2d(8, 8, 3, padding=1)
        self.tied_b = nn.Conv2d(8, 8, 3, padding=1)
        self.tied_b.weight = self.tied_a.weight
        self.point = nn.Conv2d(8, 8, 1)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 3, padding=1))
        self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.again(self.twice(self.stem(x)).relu()).relu()
        x = self.tied_b(self.tied_a(x).relu())
        return self.head(self.up(self.normed(self.point(x)).relu()).mean((2, 3)))
