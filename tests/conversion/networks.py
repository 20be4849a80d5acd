"""Plain networks with real BatchNorm statistics, to be converted."""

import timm
import torch
from torch import nn

from gmconv_zoo import DGMConv2d


def randomised(model: nn.Module) -> nn.Module:
    """Random statistics, affine weights and layer scales, so that no branch is silent and outputs can be compared."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in model.modules():
            if getattr(module, "running_mean", None) is not None:
                module.running_mean.copy_(torch.randn(module.running_mean.shape, generator=generator) * 0.1)
                module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 0.5)
                if module.weight is not None:
                    module.weight.copy_(torch.rand(module.weight.shape, generator=generator) * 0.5 + 0.5)
        wake_layer_scales(model, generator)
    return model.eval()


@torch.no_grad()
def wake_layer_scales(model: nn.Module, generator: torch.Generator) -> None:
    """Give blocks behind layer scales, which start at 1e-6 with weights of 0.02, a share in the output; in place."""
    scales = [parameter for name, parameter in model.named_parameters() if name.endswith(".gamma")]
    for scale in scales:
        scale.uniform_(0.5, 1.0, generator=generator)
    for module in model.modules() if scales else []:
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)


def plain(name: str, **kwargs) -> nn.Module:
    """A randomised timm network."""
    torch.manual_seed(0)
    return randomised(timm.create_model(name, **kwargs))


def wake(model: nn.Module, std: float = 0.3) -> nn.Module:
    """Let the masks of dynamic layers depend on the image, in place, and return the network."""
    for module in model.modules():
        if isinstance(module, DGMConv2d):
            nn.init.normal_(module.sigma_module.fc.weight, std=std)
    return model


def awake(name: str, **kwargs) -> nn.Module:
    """A randomised network whose dynamic layers depend on the image."""
    return wake(plain(name, **kwargs))


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
