"""timm entrypoints. To add a model, add a file here and import it below: importing is what registers it."""

from . import gmconv_alexnet, gmconv_cifar_resnet, gmconv_mobilenetv2, gmconv_resnet

__all__ = ["gmconv_alexnet", "gmconv_cifar_resnet", "gmconv_mobilenetv2", "gmconv_resnet"]
