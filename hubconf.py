"""torch.hub entry points, one per model.

Example:
    torch.hub.load("OWNER/gmconv_zoo", "gmconv_resnet18", pretrained=True, trust_repo=True)

Every function takes ``pretrained`` (load weights), ``tag`` (which weights; None for the model's default) and timm's
model keywords, such as ``num_classes``, ``in_chans``, ``features_only`` and ``sigma_init``.
"""

import typing

import torch

dependencies = ["torch", "torchvision", "timm", "huggingface_hub", "safetensors"]


def gmconv_resnet18(pretrained: bool = False, tag: str | None = None, **kwargs: typing.Any) -> torch.nn.Module:
    """ResNet-18 for 224x224 images, with a dynamic stem and static Gaussian masks elsewhere."""
    return _create("gmconv_resnet18", pretrained, tag, kwargs)


def sgmconv_resnet18(pretrained: bool = False, tag: str | None = None, **kwargs: typing.Any) -> torch.nn.Module:
    """ResNet-18 for 224x224 images, with static Gaussian masks everywhere."""
    return _create("sgmconv_resnet18", pretrained, tag, kwargs)


def gmconv_resnet50(pretrained: bool = False, tag: str | None = None, **kwargs: typing.Any) -> torch.nn.Module:
    """ResNet-50 for 224x224 images, with a dynamic stem and static Gaussian masks elsewhere."""
    return _create("gmconv_resnet50", pretrained, tag, kwargs)


def sgmconv_resnet50(pretrained: bool = False, tag: str | None = None, **kwargs: typing.Any) -> torch.nn.Module:
    """ResNet-50 for 224x224 images, with static Gaussian masks everywhere."""
    return _create("sgmconv_resnet50", pretrained, tag, kwargs)


def gmconv_mobilenetv2(pretrained: bool = False, tag: str | None = None, **kwargs: typing.Any) -> torch.nn.Module:
    """MobileNetV2 1.0 for 224x224 images, with a dynamic stem and static Gaussian masks elsewhere."""
    return _create("gmconv_mobilenetv2", pretrained, tag, kwargs)


def sgmconv_mobilenetv2(pretrained: bool = False, tag: str | None = None, **kwargs: typing.Any) -> torch.nn.Module:
    """MobileNetV2 1.0 for 224x224 images, with static Gaussian masks everywhere."""
    return _create("sgmconv_mobilenetv2", pretrained, tag, kwargs)


def gmconv_alexnet(pretrained: bool = False, tag: str | None = None, **kwargs: typing.Any) -> torch.nn.Module:
    """AlexNet for 224x224 images, with a dynamic stem and static Gaussian masks elsewhere."""
    return _create("gmconv_alexnet", pretrained, tag, kwargs)


def sgmconv_alexnet(pretrained: bool = False, tag: str | None = None, **kwargs: typing.Any) -> torch.nn.Module:
    """AlexNet for 224x224 images, with static Gaussian masks everywhere."""
    return _create("sgmconv_alexnet", pretrained, tag, kwargs)


def stdconv_alexnet(pretrained: bool = False, tag: str | None = None, **kwargs: typing.Any) -> torch.nn.Module:
    """AlexNet for 224x224 images, with standard convolutions."""
    return _create("stdconv_alexnet", pretrained, tag, kwargs)


def gmconv_cifar_resnet20(pretrained: bool = False, tag: str | None = None, **kwargs: typing.Any) -> torch.nn.Module:
    """ResNet-20 for 32x32 images, with a dynamic stem and static Gaussian masks elsewhere."""
    return _create("gmconv_cifar_resnet20", pretrained, tag, kwargs)


def sgmconv_cifar_resnet20(pretrained: bool = False, tag: str | None = None, **kwargs: typing.Any) -> torch.nn.Module:
    """ResNet-20 for 32x32 images, with static Gaussian masks everywhere."""
    return _create("sgmconv_cifar_resnet20", pretrained, tag, kwargs)


def stdconv_cifar_resnet20(pretrained: bool = False, tag: str | None = None, **kwargs: typing.Any) -> torch.nn.Module:
    """ResNet-20 for 32x32 images, with standard convolutions."""
    return _create("stdconv_cifar_resnet20", pretrained, tag, kwargs)


def gmconv_cifar_resnet56(pretrained: bool = False, tag: str | None = None, **kwargs: typing.Any) -> torch.nn.Module:
    """ResNet-56 for 32x32 images, with a dynamic stem and static Gaussian masks elsewhere."""
    return _create("gmconv_cifar_resnet56", pretrained, tag, kwargs)


def sgmconv_cifar_resnet56(pretrained: bool = False, tag: str | None = None, **kwargs: typing.Any) -> torch.nn.Module:
    """ResNet-56 for 32x32 images, with static Gaussian masks everywhere."""
    return _create("sgmconv_cifar_resnet56", pretrained, tag, kwargs)


def stdconv_cifar_resnet56(pretrained: bool = False, tag: str | None = None, **kwargs: typing.Any) -> torch.nn.Module:
    """ResNet-56 for 32x32 images, with standard convolutions."""
    return _create("stdconv_cifar_resnet56", pretrained, tag, kwargs)


def gmconv_cifar_resnet18(pretrained: bool = False, tag: str | None = None, **kwargs: typing.Any) -> torch.nn.Module:
    """ResNet-18 for 32x32 images, with a dynamic stem and static Gaussian masks elsewhere."""
    return _create("gmconv_cifar_resnet18", pretrained, tag, kwargs)


def sgmconv_cifar_resnet18(pretrained: bool = False, tag: str | None = None, **kwargs: typing.Any) -> torch.nn.Module:
    """ResNet-18 for 32x32 images, with static Gaussian masks everywhere."""
    return _create("sgmconv_cifar_resnet18", pretrained, tag, kwargs)


def stdconv_cifar_resnet18(pretrained: bool = False, tag: str | None = None, **kwargs: typing.Any) -> torch.nn.Module:
    """ResNet-18 for 32x32 images, with standard convolutions."""
    return _create("stdconv_cifar_resnet18", pretrained, tag, kwargs)


def _create(name: str, pretrained: bool, tag: str | None, kwargs: dict[str, typing.Any]) -> torch.nn.Module:
    # imported here, so that torch.hub itself names a package that is missing
    import timm

    import gmconv_zoo  # noqa: F401  registers the models
    from gmconv_zoo.weights.specs import specs_of

    tags = [spec.tag for spec in specs_of(name)]
    if tag is not None and tag not in tags:
        allowed = f"one of {tags}" if tags else "None, because no weights exist for it yet"
        raise ValueError(f"tag={tag!r}: {name} has no such weights; pass {allowed}.")
    return timm.create_model(name if tag is None else f"{name}.{tag}", pretrained=pretrained, **kwargs)
